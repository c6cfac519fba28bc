// The pictures as class folders: copies or links, made from the page and taken away again.
import { counted, element, say } from "./dom.js";
import { get, post } from "./store.js";

const POLL = 700; // milliseconds

export class Sorting {
  constructor() {
    this.button = element("button", { class: "button", type: "button", onclick: () => this.#open() }, "Sort into folders …");
    this.name = element("input", { id: "sort-name", required: true, maxlength: "100", autocomplete: "off", autofocus: true });
    this.link = element("input", { id: "sort-link", type: "checkbox" });
    this.where = element("p", { class: "small" });
    this.start = element("button", { class: "button primary", type: "button", onclick: () => this.#start() }, "Sort");
    this.undo = element("button", { class: "button", type: "button", onclick: () => this.#undo() }, "Take the files away again");
    this.bar = element("progress", { "aria-label": "Pictures sorted", hidden: true });
    this.words = element("p", { role: "status" });
    this.dialog = element(
      "dialog",
      { class: "sorting", "aria-labelledby": "sort-title" },
      element("form", { method: "dialog" }, element("h2", { id: "sort-title" }, "Sort into folders"), element("button", { class: "plain-button", "aria-label": "Close" }, "✕")),
      element("p", {}, "Each picture is copied into a folder of its class: by its label, else by its answer. Pictures in doubt go into the folder unsure; those left out, nowhere. The pictures themselves stay as they are."),
      element("p", { class: "field" }, element("label", { for: "sort-name" }, "New folder "), this.name),
      this.where,
      element("p", {}, element("label", {}, this.link, " Hard links in the place of copies: they take no room")),
      element("p", { class: "buttons" }, this.start, this.undo),
      this.bar,
      this.words,
    );
    document.body.append(this.dialog);
  }

  async #open() {
    this.dialog.showModal();
    await this.#poll();
    if (!this.name.value) this.name.value = this.state?.suggested ?? "";
  }

  async #poll() {
    const state = await get("sorting").catch(() => null);
    if (state) this.#draw(state);
    clearTimeout(this.timer);
    if (this.dialog.open && state?.running) this.timer = setTimeout(() => this.#poll(), POLL);
  }

  #draw(state) {
    this.state = state;
    this.where.textContent = `in ${state.beside}`;
    this.start.disabled = state.running;
    this.undo.disabled = state.running;
    this.undo.hidden = !state.folder || state.removed;
    this.bar.hidden = !state.running;
    this.bar.max = Math.max(1, state.total);
    this.bar.value = state.done;
    this.words.textContent = state.running
      ? `${state.done.toLocaleString("en")} of ${counted(state.total, "picture", "pictures")}`
      : state.said;
    this.words.classList.toggle("problem", state.failed);
  }

  async #ask(path, body) {
    try {
      this.#draw(await post(`sorting/${path}`, body));
      await this.#poll();
    } catch (error) {
      this.words.textContent = error.message;
      this.words.classList.add("problem");
      say(error.message, true);
    }
  }

  #start() {
    if (this.name.reportValidity()) this.#ask("start", { name: this.name.value.trim(), link: this.link.checked });
  }

  #undo() {
    this.#ask("undo", {});
  }
}
