// Gives a class another name, or makes two classes one. No folder and no file is touched.
import { counted, element, say } from "./dom.js";
import { rename, store } from "./store.js";

export class Renaming {
  constructor() {
    this.dialog = document.getElementById("rename");
    this.old = document.getElementById("rename-old");
    this.name = document.getElementById("rename-new");
    this.told = document.getElementById("rename-told");
    this.done = document.getElementById("rename-done");
    this.old.addEventListener("change", () => this.#choose());
    this.name.addEventListener("input", () => this.#tell());
    document.getElementById("renaming").addEventListener("submit", (event) => this.#submit(event));
    document.getElementById("open-rename").addEventListener("click", () => this.open());
  }

  // The class that has the focus, or of which a list is shown, is meant at first.
  open() {
    const { classes } = store.state;
    if (!classes.length) return say("There is no class yet");
    const [, , shown] = location.hash.split("/");
    const meant = document.activeElement?.closest("[data-class]")?.dataset.class ?? decodeURIComponent(shown ?? "");
    this.old.replaceChildren(...classes.map(({ name }) => element("option", { value: name }, name)));
    if (classes.some(({ name }) => name === meant)) this.old.value = meant;
    this.#choose();
    this.dialog.showModal();
    this.name.focus();
    this.name.select();
    return undefined;
  }

  #choose() {
    this.name.value = this.old.value;
    this.#tell();
  }

  #tell() {
    const [old, typed] = [this.old.value, this.name.value.trim()];
    const like = (name) => name.toLowerCase() === typed.toLowerCase();
    const other = store.state.classes.find(({ name }) => name !== old && like(name));
    const pictures = counted(store.state.classes.find(({ name }) => name === old)?.count ?? 0, "picture", "pictures");
    this.done.textContent = other ? "Make them one" : "Rename";
    this.done.disabled = !typed || typed === old;
    this.told.classList.remove("problem");
    this.told.textContent = other
      ? `${pictures} of ${old} become ${other.name}: the two classes are one then. Undo takes it back.`
      : `${pictures} of this class. Folders and files keep their names. Undo takes it back.`;
  }

  async #submit(event) {
    event.preventDefault();
    const [old, typed] = [this.old.value, this.name.value.trim()];
    if (this.done.disabled) return;
    try {
      await rename(old, typed);
      this.dialog.close();
      say(`${old} is called ${typed} now`);
    } catch (error) {
      this.told.classList.add("problem");
      this.told.textContent = error.message;
    }
  }
}
