// Where a picture speaks for a class: asked for once the picture is looked at for a moment, and given up for another.
import { element, frame } from "./dom.js";
import { heatmap } from "./store.js";

const LOOKED_AT = 300; // milliseconds: whoever goes through the pictures by keys has none computed
const AGAIN = 700; // milliseconds: another one is being computed
const KEPT = 40;

export class Heat {
  constructor() {
    this.made = new Map(); // id and class -> the address of what was made
    this.words = element("figcaption", { class: "small" });
    this.image = element("img", { alt: "" });
    this.element = element("figure", { class: "heat" });
  }

  // Shows the heatmap of a picture for a class in `element`, which hides where there is none.
  show(picture, label) {
    const { id } = picture;
    const key = JSON.stringify([id, label]);
    if (key === this.key) return this.element;
    this.stop();
    this.key = key;
    this.element.hidden = false;
    this.element.replaceChildren(frame(picture, this.image), this.words);
    this.image.hidden = true;
    this.words.textContent = `What speaks for ${label} …`;
    if (this.made.has(key)) this.#put(key, label);
    else this.timer = setTimeout(() => this.#ask(key, id, label), LOOKED_AT);
    return this.element;
  }

  stop() {
    this.key = null;
    clearTimeout(this.timer);
    this.leaving?.abort();
  }

  async #ask(key, id, label) {
    this.leaving = new AbortController();
    try {
      const answer = await fetch(heatmap(id, label), { signal: this.leaving.signal });
      const file = answer.ok ? await answer.blob() : null;
      if (key !== this.key) return;
      if (answer.status === 204) {
        this.words.textContent = `No part of it alone speaks for ${label}`;
        return;
      }
      if (answer.status === 503) this.timer = setTimeout(() => this.#ask(key, id, label), AGAIN);
      else if (!file) this.element.hidden = true;
      else {
        this.#keep(key, URL.createObjectURL(file));
        this.#put(key, label);
      }
    } catch {
      if (key === this.key) this.element.hidden = true;
    }
  }

  #keep(key, address) {
    this.made.set(key, address);
    if (this.made.size <= KEPT) return;
    const [oldest] = this.made.keys();
    URL.revokeObjectURL(this.made.get(oldest));
    this.made.delete(oldest);
  }

  #put(key, label) {
    this.image.src = this.made.get(key);
    this.image.alt = `Where the picture speaks for ${label}`;
    this.image.hidden = false;
    this.words.textContent = `What speaks for ${label}`;
  }
}
