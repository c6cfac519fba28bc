// What a model answered, as one sheet for each class and the doubtful apart, to be looked over.
import { counted, element, percent, say } from "./dom.js";
import { whatNow } from "./done.js";
import { Grid } from "./grid.js";
import { Sorting } from "./sorting.js";
import { calledNow, decide, get, store } from "./store.js";

const NAMES = { doubtful: "In doubt", without: "Without an answer" };
const titleOf = ({ kind, name }) => NAMES[kind] ?? name;

export class Answers {
  constructor({ show }) {
    this.lead = element("p", { class: "small hint" });
    this.nothing = element("div", { class: "nothing none", hidden: true });
    this.tabs = element("ul", { class: "answer-classes" });
    this.count = element("p", { class: "small count listed", role: "status" });
    this.agree = element("button", { class: "button", type: "button", onclick: () => this.accept() });
    this.out = element("button", { class: "button", type: "button", onclick: () => this.remove() }, "Leave out ", element("kbd", {}, "x"));
    this.sorting = new Sorting();
    this.grid = new Grid("Pictures by their answers", {
      selected: () => this.#told(),
      opened: show,
      look: (picture) => this.#answered(picture),
    });
    this.element = element(
      "section",
      { class: "all answers", "aria-label": "Answers" },
      element("div", { class: "toolbar" }, this.lead, element("span", { class: "actions" }, this.sorting.button)),
      this.nothing,
      this.tabs,
      element("div", { class: "toolbar" }, this.count, element("span", { class: "actions" }, this.out, this.agree)),
      this.grid.element,
    );
    this.sheets = [];
    this.answers = new Map(); // id -> its class and the probability of that
  }

  enter([kind, name] = []) {
    if (kind) this.wanted = { kind, name: name ?? "" };
    this.#fetch(true);
  }

  update(state) {
    if (this.wanted?.name) this.wanted = { ...this.wanted, name: calledNow(this.wanted.name) };
    const isOld = state.decisions !== this.decisions || (state.fit !== this.fitted && !this.file);
    if (isOld) this.#fetch(false);
    this.grid.draw();
    this.#told();
  }

  async #fetch(isNew) {
    this.decisions = store.state.decisions;
    this.fitted = store.state.fit;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const { file, sheets } = await get("answers").catch(() => ({ sheets: this.sheets, file: this.file }));
    if (turn !== this.turn) return; // another one was asked for meanwhile
    this.file = file;
    this.sheets = sheets;
    this.answers.clear();
    for (const { ids, name, answers, shares } of sheets) {
      ids.forEach((id, place) => this.answers.set(id, [answers?.[place] ?? name, shares[place]]));
    }
    const hadFocus = this.grid.element.contains(document.activeElement);
    if (isNew) this.grid.top();
    this.#choose(this.#same(this.wanted) ?? sheets[0]);
    if (hadFocus) this.grid.focus();
  }

  #same(sheet) {
    return sheet && this.sheets.find(({ kind, name }) => kind === sheet.kind && name === sheet.name);
  }

  #choose(sheet) {
    if (sheet && this.sheet && titleOf(sheet) !== titleOf(this.sheet)) this.grid.top();
    this.sheet = sheet ?? null;
    this.wanted = sheet ?? this.wanted;
    this.grid.show(sheet?.ids ?? []);
    this.#tabs();
    this.#told();
  }

  #tabs() {
    const focused = document.activeElement?.dataset?.sheet;
    this.tabs.replaceChildren(
      ...this.sheets.map((sheet) =>
        element(
          "li",
          {},
          element(
            "button",
            {
              class: `button ${sheet.kind}`,
              type: "button",
              "data-sheet": titleOf(sheet),
              "aria-pressed": sheet === this.sheet ? "true" : "false",
              onclick: () => this.#choose(sheet),
            },
            `${titleOf(sheet)} `,
            element("span", { class: "small" }, sheet.ids.length.toLocaleString("en")),
          ),
        ),
      ),
    );
    if (focused) this.tabs.querySelector(`[data-sheet="${CSS.escape(focused)}"]`)?.focus();
  }

  // The tile shows what this view is about, whatever the model that learns along says by now.
  #answered(picture) {
    const answer = picture && this.answers.get(picture.id);
    if (!answer || picture.label || picture.removed) return picture;
    return { ...picture, proposed: answer[0] || null, probability: answer[1] };
  }

  #told() {
    const chosen = this.grid.selection.ids.size;
    const { sheet } = this;
    this.lead.textContent = this.#lead();
    this.#settled();
    this.count.textContent = !sheet
      ? ""
      : chosen
        ? `${chosen.toLocaleString("en")} of ${sheet.ids.length.toLocaleString("en")} selected`
        : `${counted(sheet.ids.length, "picture", "pictures")}${this.#least()}`;
    this.agree.replaceChildren(chosen ? "Accept the selected " : `All of them show ${sheet?.name} `, element("kbd", {}, "space"));
    this.agree.hidden = !sheet || sheet.kind === "without" || (!chosen && sheet.kind !== "class");
    this.out.hidden = !sheet;
    this.out.disabled = !chosen;
  }

  #lead() {
    if (this.sheets.length) {
      const by = this.file ? `The answers of ${this.file}` : "The answers of the model that learns along";
      return `${by}. Select what is wrong and give it its class, then accept the rest.`;
    }
    return whatNow(store.state) ? "" : "What the model says of the other pictures is shown here once two classes have labels.";
  }

  #settled() {
    const now = this.sheets.length ? null : whatNow(store.state);
    this.nothing.hidden = !now;
    const drawn = JSON.stringify([Boolean(now), store.state.counts]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.nothing.replaceChildren(...(now ?? []));
    this.sorting.button.hidden = !store.state.counts.pictures;
  }

  #least() {
    const { shares, kind } = this.sheet;
    return kind === "without" ? "" : `, the least sure first, with ${percent(shares[0])}`;
  }

  label(name) {
    const ids = this.grid.selected();
    if (ids.length) this.#decide(ids, name);
    return ids.length > 0;
  }

  // Each class is one action. Without a selection the whole sheet is meant, where that is one class.
  accept() {
    const chosen = this.grid.selected();
    if (!this.sheet || (!chosen.length && this.sheet.kind !== "class")) return;
    const all = chosen.length ? chosen : this.sheet.ids;
    const named = (id) => this.answers.get(id)?.[0];
    for (const name of new Set(all.map(named))) {
      if (name) this.#decide(all.filter((id) => named(id) === name), name);
    }
  }

  #decide(ids, name) {
    decide(ids, name, { source: "answers" });
    say(`${name}: ${counted(ids.length, "picture", "pictures")}`);
  }

  remove() {
    const ids = this.grid.selected();
    if (ids.length) decide(ids, null, { source: "answers", remove: true });
  }

  clear() {}

  key(event) {
    if (!event.key.startsWith("Arrow") && !(event.key === "a" && event.ctrlKey)) return false;
    if (event.key === "a") this.grid.selection.all(this.sheet?.ids ?? []);
    this.grid.focus();
    return true;
  }
}
