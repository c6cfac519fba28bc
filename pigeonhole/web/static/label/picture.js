// One picture as large as the window, over whatever view it was opened from.
import { element, percent, say } from "./dom.js";
import { decide, details, large, store } from "./store.js";

export class Picture {
  constructor() {
    this.dialog = document.getElementById("picture");
    this.figure = this.dialog.querySelector("figure");
    this.words = this.dialog.querySelector("p");
  }

  get isOpen() {
    return this.dialog.open;
  }

  show(id) {
    const picture = store.known.get(id);
    if (!picture) return;
    this.id = id;
    this.figure.replaceChildren(element("img", { src: large(picture), alt: picture.name }));
    this.update();
    if (!this.isOpen) this.dialog.showModal();
  }

  update() {
    const [picture] = this.isOpen ? details([this.id]) : [store.known.get(this.id)];
    if (!picture) return;
    const ranked = picture.ranked.map(({ name, probability }) => `${name} ${percent(probability)}`).join(", ");
    const label = picture.removed ? "left out" : picture.label ? `labelled ${picture.label}` : "no label";
    this.words.textContent = `${picture.name} · ${picture.width} × ${picture.height} · ${label}${ranked ? ` · ${ranked}` : ""}`;
  }

  label(name) {
    decide([this.id], name, { source: "sheet" });
    say(name);
    return true;
  }
}
