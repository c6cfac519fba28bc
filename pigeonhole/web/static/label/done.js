// What a view says that has nothing to show, and where to go from there.
import { element } from "./dom.js";

// Elements for a folder without pictures, and for one whose pictures all have a label; null for any other.
export function whatNow({ counts: { pictures, undecided } }) {
  if (!pictures) {
    return [
      element("p", { class: "lead" }, "This folder holds no picture yet. Record some by camera, or put pictures there and start the program again."),
      element("p", { class: "buttons" }, link("Record by camera", "#camera")),
    ];
  }
  if (undecided) return null;
  return [
    element("p", { class: "lead" }, "Every picture has a label."),
    element("p", { class: "buttons" }, link("Save a model", "#train"), link("Look for wrong labels", "#review", "")),
  ];
}

export function link(text, href, kind = "primary") {
  return element("a", { class: `button ${kind}`, href }, text);
}
