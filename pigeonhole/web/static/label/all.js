// All pictures, or some of them, as one long grid.
import { counted, element } from "./dom.js";
import { whatNow } from "./done.js";
import { Grid } from "./grid.js";
import { calledNow, decide, get, store } from "./store.js";

const SHOWN = [
  ["undecided", "Without a label"],
  ["all", "All"],
  ["decided", "With a label"],
  ["removed", "Left out"],
];
const ORDERS = [
  ["alike", "Alike together"],
  ["sure", "Surest first"],
  ["unsure", "Least sure first"],
  ["name", "By name"],
  ["latest", "Latest decision first"],
];

export class All {
  constructor({ show }) {
    this.openPicture = show;
    this.show = element("select", { id: "show", onchange: () => this.#chosen() });
    this.order = element("select", { id: "order", onchange: () => this.#fetch(true) }, ORDERS.map(option));
    this.count = element("p", { class: "small listed", role: "status" });
    this.agree = element(
      "button",
      { class: "button", type: "button", onclick: () => this.accept() },
      "Accept proposals ",
      element("kbd", {}, "space"),
    );
    this.out = element("button", { class: "button", type: "button", onclick: () => this.remove() }, "Leave out ", element("kbd", {}, "x"));
    this.grid = new Grid("Pictures", { selected: () => this.#told(), opened: (id) => this.openPicture(id) });
    this.none = element("div", { class: "nothing none", hidden: true });
    this.element = element(
      "section",
      { class: "all", "aria-label": "All pictures" },
      element(
        "div",
        { class: "toolbar" },
        element("label", {}, element("span", { class: "unseen" }, "Show "), this.show),
        element("label", {}, element("span", { class: "unseen" }, "Order "), this.order),
        this.count,
        element("span", { class: "actions" }, this.agree, this.out),
      ),
      this.none,
      this.grid.element,
    );
    this.ids = [];
  }

  enter([kind, name] = []) {
    this.#options(store.state);
    if (kind) this.show.value = name === undefined ? kind : `${kind}/${name}`;
    else if (!store.state.counts.undecided) this.show.value = "all";
    this.#fetch(true);
  }

  #chosen() {
    const [kind, ...name] = this.show.value.split("/");
    history.replaceState(null, "", name.length ? `#all/${kind}/${encodeURIComponent(name.join("/"))}` : `#all/${kind}`);
    this.#fetch(true);
  }

  // The choices, among them one for each class; the chosen one stays.
  #options({ classes }) {
    const drawn = JSON.stringify(classes.map(({ name }) => name));
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const [kind, ...name] = (this.show.value || "undecided").split("/");
    const chosen = name.length ? `${kind}/${calledNow(name.join("/"))}` : kind;
    const group = (label, kind) =>
      element("optgroup", { label }, classes.map(({ name }) => option([`${kind}/${name}`, name])));
    const groups = classes.length ? [group("Labelled", "class"), group("No label yet; probably", "proposed")] : [];
    this.show.replaceChildren(...SHOWN.map(option), ...groups);
    this.show.value = chosen;
    if (!this.show.value) this.show.value = "undecided";
  }

  update(state) {
    this.#options(state);
    const isFirstFit = state.fit > 0 && !this.fitted;
    this.fitted = state.fit > 0;
    if (state.decisions !== this.decisions || isFirstFit) this.#fetch(false);
    this.grid.draw();
    this.#told();
  }

  async #fetch(isNew) {
    this.decisions = store.state.decisions;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const { ids } = await get(`list?show=${encodeURIComponent(this.show.value)}&order=${this.order.value}`);
    if (turn !== this.turn) return; // another one was asked for meanwhile
    this.ids = ids;
    const hadFocus = this.grid.element.contains(document.activeElement);
    if (isNew) this.grid.top();
    this.grid.show(ids);
    if (hadFocus) this.grid.focus();
    this.none.hidden = ids.length > 0;
    const isWhole = ["all", "undecided"].includes(this.show.value);
    const now = isWhole && whatNow(store.state);
    this.none.replaceChildren(...(now || [element("p", { class: "lead" }, "There is no such picture.")]));
    this.#told();
  }

  #told() {
    const chosen = this.grid.selection.ids.size;
    this.count.textContent = chosen
      ? `${chosen.toLocaleString("en")} of ${this.ids.length.toLocaleString("en")} selected`
      : counted(this.ids.length, "picture", "pictures");
    this.agree.disabled = !chosen;
    this.out.disabled = !chosen;
  }

  label(name) {
    const ids = this.grid.selected();
    if (ids.length) decide(ids, name, { source: "sheet" });
    return ids.length > 0;
  }

  // Each class is one action: what was proposed is what was seen.
  accept() {
    const by = new Map();
    for (const id of this.grid.selected()) {
      const picture = store.known.get(id);
      if (picture?.label || picture?.removed || !(picture?.proposed ?? this.#proposedByList())) continue;
      const name = picture?.proposed ?? this.#proposedByList();
      by.set(name, [...(by.get(name) ?? []), id]);
    }
    for (const [name, ids] of by) decide(ids, name, { source: "sheet" });
  }

  // Pictures that were never in sight have no details here, but their list says what is proposed.
  #proposedByList() {
    const [kind, ...name] = this.show.value.split("/");
    return kind === "proposed" ? name.join("/") : null;
  }

  remove() {
    const ids = this.grid.selected();
    if (ids.length) decide(ids, null, { source: "sheet", remove: true });
  }

  clear() {
    const ids = this.grid.selected();
    if (ids.length) decide(ids, null, { source: "sheet" });
  }

  key(event) {
    if (!event.key.startsWith("Arrow") && !(event.key === "a" && event.ctrlKey)) return false;
    if (event.key === "a") this.grid.selection.all(this.ids);
    this.grid.focus();
    return true;
  }
}

function option([value, text]) {
  return element("option", { value }, text);
}
