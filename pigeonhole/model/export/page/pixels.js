// A picture as the network takes it: by the tool's rule, so that the same picture gets the same answer.

// A strip of a picture is read at a time, in pieces: browsers limit the sides and the area of a canvas, and beyond
// draw nothing without saying so.
const STRIP_ROWS = 256;
const PIECE_COLUMNS = 4096;

// A file's picture, turned as its EXIF says, its colour profile not applied. Rejects what is no picture.
export function decoded(file) {
  return createImageBitmap(file, { colorSpaceConversion: "none" });
}

// Averages `bitmap` over areas, or interpolates where it is enlarged, to size x size pixels: whole levels 0..255
// in a Float32Array [size, size, channels], RGB or grey. What is transparent becomes white.
export function squared(bitmap, size, channels) {
  const { width, height } = bitmap;
  const columns = shares(width, size);
  const rows = shares(height, size);
  const sums = new Float64Array(3 * size * size);
  const read = reader(bitmap);
  let first = 0; // of the rows of the result that are not complete
  for (let top = 0; top < height; top += STRIP_ROWS) {
    const count = Math.min(STRIP_ROWS, height - top);
    const data = read(top, count);
    for (let y = 0; y < count; y++) {
      const line = averaged(data, 4 * width * y, columns);
      while (rows[first].start + rows[first].weights.length <= top + y) first++;
      for (let row = first; row < size && rows[row].start <= top + y; row++) {
        const weight = rows[row].weights[top + y - rows[row].start];
        for (let at = 0; at < line.length; at++) sums[3 * size * row + at] += weight * line[at];
      }
    }
  }
  return channels === 1 ? grey(sums) : Float32Array.from(sums, Math.round);
}

// Gives a function of a strip's first row and number of rows to its pixels RGBA, on white.
function reader(bitmap) {
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(Math.min(width, PIECE_COLUMNS), Math.min(height, STRIP_ROWS));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  const piece = (left, top, columns, rows) => {
    context.fillRect(0, 0, columns, rows);
    context.drawImage(bitmap, -left, -top);
    return context.getImageData(0, 0, columns, rows).data;
  };
  return (top, rows) => {
    if (width <= PIECE_COLUMNS) return piece(0, top, width, rows);
    const strip = new Uint8ClampedArray(4 * width * rows);
    for (let left = 0; left < width; left += PIECE_COLUMNS) {
      const columns = Math.min(PIECE_COLUMNS, width - left);
      const data = piece(left, top, columns, rows);
      for (let row = 0; row < rows; row++) {
        strip.set(data.subarray(4 * columns * row, 4 * columns * (row + 1)), 4 * (width * row + left));
      }
    }
    return strip;
  };
}

// For each of `size` values along an axis of `side` pixels: its first pixel, and how much it and those after it
// count. It averages an interval as wide as its own share of the pixels, or one pixel wide where that is more,
// about its centre, moved inside where it would reach beyond the ends. All lengths are whole numbers, in parts
// of 1 / (2 size) of a pixel.
export function shares(side, size) {
  const pixel = 2 * size;
  const width = 2 * Math.max(side, size);
  return Array.from({ length: size }, (_, number) => {
    const wanted = (2 * number + 1) * side - width / 2;
    const begin = Math.min(Math.max(wanted, 0), pixel * side - width);
    const start = Math.floor(begin / pixel);
    const end = Math.ceil((begin + width) / pixel);
    const weights = Float64Array.from({ length: end - start }, (_, next) => {
      const left = pixel * (start + next);
      return (Math.min(begin + width, left + pixel) - Math.max(begin, left)) / width;
    });
    return { start, weights };
  });
}

// One row of RGBA pixels, which begins at `offset`, averaged along its columns: Float64Array [size, 3].
function averaged(data, offset, columns) {
  const line = new Float64Array(3 * columns.length);
  for (let column = 0; column < columns.length; column++) {
    const { start, weights } = columns[column];
    let [red, green, blue] = [0, 0, 0];
    for (let next = 0, at = offset + 4 * start; next < weights.length; next++, at += 4) {
      red += weights[next] * data[at];
      green += weights[next] * data[at + 1];
      blue += weights[next] * data[at + 2];
    }
    line[3 * column] = red;
    line[3 * column + 1] = green;
    line[3 * column + 2] = blue;
  }
  return line;
}

// Luma by ITU-R BT.601.
function grey(sums) {
  const [red, green, blue] = [0, 1, 2].map((channel) => (at) => Math.round(sums[3 * at + channel]));
  return Float32Array.from({ length: sums.length / 3 }, (_, at) =>
    Math.round(0.299 * red(at) + 0.587 * green(at) + 0.114 * blue(at)),
  );
}
