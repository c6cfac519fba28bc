// The model on this device, by ONNX Runtime Web: pixels in, probabilities out.
import * as ort from "./ort.js";
import { decoded, squared } from "./pixels.js";

const GZIP = [0x1f, 0x8b]; // how such a file begins

let description, session;
let running = Promise.resolve();

// Fetches what the folder holds and makes the model ready; gives what model.json says. `progress(done)` is told
// the part that is here, 0..1.
export async function load(progress) {
  description = await (await fetched("model.json")).json();
  const files = [description.runtime, description.model];
  const total = files[0].bytes + files[1].bytes;
  let done = 0;
  const count = (bytes) => progress((done += bytes) / total);
  const [wasm, model] = await Promise.all(files.map(({ name }) => content(name, count)));
  ort.env.wasm.numThreads = 1; // More of them need headers that few static hosts send.
  ort.env.wasm.wasmBinary = wasm;
  session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  return description;
}

// The answer to a bitmap, which is closed: every class with its probability, best first, and in which way it is
// in doubt: "stranger", "torn" or neither.
export async function answer(bitmap) {
  const began = performance.now();
  const { width, height } = bitmap;
  const pixels = squared(bitmap, description.image_size, description.channels);
  bitmap.close();
  const given = await run(pixels);
  const probabilities = [...given.y_pred.data];
  const order = [...probabilities.keys()].sort((one, other) => probabilities[other] - probabilities[one]);
  const ranked = order.map((label) => [description.classes[label], probabilities[label]]);
  const isTorn = ranked.length > 1 && ranked[0][1] < description.odds * ranked[1][1];
  const doubt = given.unsure?.data[0] ? "stranger" : isTorn ? "torn" : null;
  return { ranked, doubt, width, height, milliseconds: performance.now() - began };
}

// Asks for the golden examples, which lie in the model with the pixels and answers that they gave when it was
// saved. Gives how far the answers to the same pixels are off, and the pixels that this browser decodes.
export async function replayed() {
  const { golden, image_size: size, channels } = description;
  const pixels = new Uint8Array(await content("golden.bin"));
  const off = { answers: 0, lossless: 0, jpeg: 0 };
  for (const [number, example] of golden.entries()) {
    const length = size * size * channels;
    const wanted = pixels.subarray(number * length, (number + 1) * length);
    const { y_pred: said } = await run(Float32Array.from(wanted));
    off.answers = Math.max(off.answers, farthest(said.data, example.probabilities));
    const bytes = Uint8Array.from(atob(example.file), (letter) => letter.charCodeAt(0));
    const bitmap = await decoded(new Blob([bytes], { type: example.type }));
    const kind = example.type === "image/jpeg" ? "jpeg" : "lossless";
    off[kind] = Math.max(off[kind], farthest(squared(bitmap, size, channels), wanted));
    bitmap.close();
  }
  return off;
}

// Not a number where any is none.
function farthest(some, others) {
  if (some.length !== others.length) return NaN;
  let most = 0;
  for (let at = 0; at < some.length; at++) {
    const distance = Math.abs(some[at] - others[at]);
    if (!(distance <= most)) most = distance;
    if (Number.isNaN(most)) break;
  }
  return most;
}

// One at a time: the runtime cannot do more.
function run(pixels) {
  const { image_size: size, channels } = description;
  const answered = running.then(() => {
    const names = session.outputNames.filter((name) => name === "y_pred" || name === "unsure");
    return session.run({ x: new ort.Tensor("float32", pixels, [1, size, size, channels]) }, names);
  });
  running = answered.catch(() => {});
  return answered;
}

// A file's bytes, unpacked where it is packed: then a host that unpacks it by itself does no harm.
async function content(name, count = () => {}) {
  const response = await fetched(name);
  const parts = [];
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    count(value.length);
  }
  const file = new Blob(parts);
  const head = new Uint8Array(await file.slice(0, GZIP.length).arrayBuffer());
  if (!GZIP.every((byte, at) => head[at] === byte)) return file.arrayBuffer();
  return new Response(file.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

// Asks the host whether what the browser keeps of an earlier visit is still right.
async function fetched(name) {
  const response = await fetch(name, { cache: "no-cache" }).catch(() => {
    throw new Error(`${name} cannot be reached`);
  });
  if (!response.ok) throw new Error(`${name} cannot be loaded (status ${response.status})`);
  return response;
}
