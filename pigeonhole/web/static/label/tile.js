// One small picture with its label or the proposed class.
import { element, percent } from "./dom.js";
import { thumbnail } from "./store.js";

// What is said of a picture: its label, else what the model takes it for. `kind` is a class of the style sheet.
export function standing(picture) {
  if (!picture) return { kind: "loading", text: "", spoken: "loading" };
  if (picture.removed) return { kind: "removed", text: "left out", spoken: "left out" };
  if (picture.label) return { kind: "decided", text: picture.label, spoken: `labelled ${picture.label}` };
  if (picture.proposed) {
    const share = percent(picture.probability);
    return {
      kind: "proposed",
      text: `${picture.proposed}?`,
      spoken: `no label; probably ${picture.proposed}, ${share}`,
    };
  }
  return { kind: "open", text: "", spoken: "no label" };
}

export function makeTile(role = null) {
  const image = element("img", { alt: "", loading: "eager", decoding: "async", draggable: "false" });
  image.addEventListener("error", () => tile.classList.add("broken"));
  image.addEventListener("load", () => tile.classList.remove("broken"));
  const tile = element("div", { class: "tile", role }, image, element("span", { class: "badge" }));
  return tile;
}

export function fillTile(tile, picture, selected = false) {
  const { kind, text, spoken } = standing(picture);
  tile.className = `tile ${kind}${selected ? " selected" : ""}${tile.classList.contains("broken") ? " broken" : ""}`;
  const [image, badge] = tile.children;
  badge.textContent = text;
  if (!picture) return;
  const address = thumbnail(picture);
  if (image.getAttribute("src") !== address) image.setAttribute("src", address);
  image.classList.toggle("pixelated", Math.max(picture.width, picture.height) < 96);
  tile.title = picture.name;
  const name = `${picture.name}, ${spoken}`;
  if (tile.hasAttribute("role")) tile.setAttribute("aria-label", name);
  else image.alt = name;
}
