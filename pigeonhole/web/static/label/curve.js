// The accuracy with its interval against the labels given.
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [300, 150, 34, 20, 8, 8];
const SVG = "http://www.w3.org/2000/svg";

export function drawCurve(svg, curve) {
  const drawn = JSON.stringify(curve);
  if (svg.dataset.drawn === drawn) return;
  svg.dataset.drawn = drawn;
  svg.parentElement.hidden = curve.length < 2;
  if (curve.length < 2) return;
  const most = curve.at(-1).labels;
  const floor = Math.max(0, Math.floor(10 * Math.min(...curve.map(({ low }) => low))) / 10);
  const x = (labels) => LEFT + ((WIDTH - LEFT - RIGHT) * labels) / most;
  const y = (share) => TOP + ((HEIGHT - TOP - BOTTOM) * (1 - share)) / (1 - floor || 1);
  const points = (each) => curve.map((point) => `${x(point.labels).toFixed(1)},${y(each(point)).toFixed(1)}`);
  const band = [...points(({ high }) => high), ...points(({ low }) => low).reverse()];
  const parts = [];
  for (const share of marks(floor)) {
    parts.push(line(x(0), WIDTH - RIGHT, y(share)));
    parts.push(text(LEFT - 6, y(share) + 4, `${Math.round(100 * share)}`, "up"));
  }
  for (const labels of [0, most]) parts.push(text(x(labels), HEIGHT - 4, `${labels}`, labels ? "end" : "across"));
  parts.push(make("polygon", { class: "band", points: band.join(" ") }));
  parts.push(make("polyline", { class: "validation", points: points(({ value }) => value).join(" ") }));
  const last = curve.at(-1);
  parts.push(make("circle", { class: "validation", cx: x(last.labels), cy: y(last.value), r: 3.5 }));
  svg.replaceChildren(...parts);
}

function marks(floor) {
  const step = floor >= 0.8 ? 0.05 : floor >= 0.5 ? 0.1 : 0.25;
  const found = [];
  for (let share = 1; share >= floor - 1e-9; share -= step) found.push(share);
  return found;
}

function make(tag, attributes, content = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = content;
  return made;
}

const line = (x1, x2, at) => make("line", { class: "grid", x1, x2, y1: at, y2: at });
const text = (x, y, content, kind) => make("text", { class: kind, x, y }, content);
