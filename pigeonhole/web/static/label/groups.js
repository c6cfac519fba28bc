// Pictures that look alike as sheets: name a whole group, take pictures out of it, split it, merge it.
import { counted, element, percent, say } from "./dom.js";
import { link, whatNow } from "./done.js";
import { Grid } from "./grid.js";
import { decide, get, post, store, details } from "./store.js";
import { fillTile, makeTile } from "./tile.js";

const TYPICAL = 18; // pictures shown of a group at first: these, ...
const LEAST = 6; // ... and the least typical ones

export class Groups {
  constructor({ show }) {
    this.openPicture = show;
    this.sheets = new Map(); // id of the group -> sheet
    this.active = null; // a sheet
    this.marked = null; // the one to be merged with another
    this.list = element("div", { class: "sheets" });
    this.lead = element("p", { class: "lead hint" }, "");
    this.anew = element("button", { class: "button", type: "button", onclick: () => this.regroup() }, "Regroup ", element("kbd", {}, "g"));
    this.nothing = element("div", { class: "nothing" });
    const top = element("div", { class: "title" }, this.lead, this.anew);
    this.element = element("section", { class: "groups", "aria-label": "Groups" }, top, this.nothing, this.list);
  }

  enter() {
    this.#fetch();
  }

  update(state) {
    if (state.sheets !== this.version || state.decisions !== this.decisions) this.#fetch();
    for (const sheet of this.sheets.values()) sheet.draw();
  }

  async #fetch() {
    this.version = store.state.sheets;
    this.decisions = store.state.decisions;
    const { groups } = await get("groups");
    const before = this.active ? [...this.sheets.keys()].indexOf(this.active.id) : 0;
    const found = new Map();
    for (const group of groups) {
      const sheet = this.sheets.get(group.id) ?? new Sheet(group.id, this);
      sheet.fill(group);
      found.set(group.id, sheet);
    }
    const hadFocus = this.list.contains(document.activeElement);
    for (const [id, sheet] of this.sheets) if (!found.has(id)) sheet.element.remove();
    this.sheets = found;
    const wanted = [...found.values()].map((sheet) => sheet.element);
    wanted.forEach((each, place) => {
      if (this.list.children[place] !== each) this.list.insertBefore(each, this.list.children[place] ?? null);
    });
    const now = groups.length ? null : (whatNow(store.state) ?? whileLooking(store.state));
    this.nothing.replaceChildren(...(now ?? []));
    this.lead.textContent = now ? "" : this.#hint(groups.length);
    this.anew.hidden = !groups.length;
    if (!found.has(this.active?.id)) {
      const sheets = [...found.values()];
      this.activate(sheets[Math.min(Math.max(before, 0), sheets.length - 1)] ?? null, hadFocus);
    }
  }

  #hint(count) {
    if (count) return "The pictures of a group look alike. Click what does not belong, then name the rest.";
    return "Sorting into groups …";
  }

  activate(sheet, takesFocus = true) {
    this.active?.element.classList.remove("active");
    this.active = sheet;
    sheet?.element.classList.add("active");
    if (sheet && takesFocus) sheet.element.focus();
  }

  label(name) {
    return this.active?.label(name) ?? false;
  }

  accept() {
    if (this.active?.proposed) this.active.label(this.active.proposed);
  }

  remove() {
    this.active?.remove();
  }

  clear() {}

  // Merges two groups, the first that was marked and this one.
  async merge(sheet) {
    if (!this.marked || this.marked === sheet) {
      this.marked?.element.classList.remove("marked");
      this.marked = this.marked === sheet ? null : sheet;
      sheet.element.classList.toggle("marked", this.marked === sheet);
      say(this.marked ? "Now press m, or Merge, at the other group" : "Not merged");
      return;
    }
    const groups = [this.marked.id, sheet.id];
    this.marked.element.classList.remove("marked");
    this.marked = null;
    await this.#change("groups/merge", { groups });
  }

  async split(sheet) {
    sheet.element.classList.add("waiting");
    await this.#change("groups/split", { group: sheet.id, out: [...sheet.out] });
  }

  // Makes new groups of all pictures that have no label.
  async regroup() {
    say("Sorting into groups …");
    await this.#change("groups/anew", {});
    say("Grouped anew");
    this.element.scrollTop = 0;
  }

  async #change(path, body) {
    try {
      await post(path, body);
      await this.#fetch();
    } catch (error) {
      say(error.message, true);
    }
  }

  key(event) {
    const sheets = [...this.sheets.values()];
    const place = sheets.indexOf(this.active);
    if (event.key === "ArrowDown" && place < sheets.length - 1) this.activate(sheets[place + 1]);
    else if (event.key === "ArrowUp" && place > 0) this.activate(sheets[place - 1]);
    else if ((event.key === "ArrowRight" || event.key === "ArrowLeft") && this.active) {
      this.active.step(event.key === "ArrowRight" ? 1 : -1);
    } else if (event.key === "s" && this.active) this.split(this.active);
    else if (event.key === "m" && this.active) this.merge(this.active);
    else if (event.key === "o" && this.active) this.active.open();
    else if (event.key === "g") this.regroup();
    else return false;
    return true;
  }
}

function whileLooking({ progress }) {
  if (!progress) return null;
  return [
    element("p", { class: "lead" }, "Groups appear here once the pictures have been looked at. You can label some until then."),
    element("p", { class: "buttons" }, link("Label one by one", "#next")),
  ];
}

class Sheet {
  constructor(id, groups) {
    this.id = id;
    this.groups = groups;
    this.out = new Set(); // ids taken out of the group
    this.heading = element("h2", { id: `group-${id}` });
    this.proposal = element("p", { class: "small" });
    this.hidden = element("p", { class: "small" });
    this.tiles = element("ul", { class: "tiles" });
    const act = (text, key, act) =>
      element("button", { class: "button", type: "button", onclick: act }, text, element("kbd", {}, key));
    this.agree = element("button", { class: "button primary", type: "button", onclick: () => this.label(this.proposed) }, "", element("kbd", {}, "space"));
    this.split = act("Split", "s", () => groups.split(this));
    this.all = act("Show all", "o", () => this.open());
    this.element = element(
      "article",
      { class: "sheet", tabindex: "0", "aria-labelledby": `group-${id}` },
      element(
        "div",
        { class: "title" },
        element("div", {}, this.heading, this.proposal),
        element("span", { class: "actions" }, this.agree, this.all, this.split, act("Merge", "m", () => groups.merge(this))),
      ),
      this.tiles,
      this.hidden,
    );
    this.element.addEventListener("focusin", () => groups.active !== this && groups.activate(this, false));
    this.element.addEventListener("pointerdown", () => groups.active !== this && groups.activate(this, false));
  }

  fill({ ids, proposed, share }) {
    this.element.classList.remove("waiting");
    this.ids = ids;
    this.proposed = proposed;
    for (const id of this.out) if (!ids.includes(id)) this.out.delete(id);
    if (this.out.size === ids.length) this.out.clear(); // what was taken out is a group now
    this.proposal.textContent = proposed ? `${share < 1 ? `${percent(share)} of them` : "all"} probably ${proposed}` : "";
    const least = ids.slice(TYPICAL).slice(-LEAST);
    this.shown = [...ids.slice(0, TYPICAL), ...least];
    this.#tiles();
    this.grid?.show(ids);
    this.draw();
  }

  #tiles() {
    const before = new Map([...this.tiles.children].map((item) => [Number(item.dataset.id), item]));
    this.tiles.replaceChildren(...this.shown.map((id, place) => before.get(id) ?? this.#tile(id, place)));
    for (const [place, item] of [...this.tiles.children].entries()) {
      item.classList.toggle("least", place === TYPICAL);
    }
  }

  #tile(id) {
    const button = element("button", { type: "button", "aria-pressed": "false", onclick: () => this.take(id) }, makeTile());
    return element("li", { "data-id": id }, button);
  }

  // Takes a picture out of the group, or back into it.
  take(id) {
    if (!this.out.delete(id)) this.out.add(id);
    this.draw();
  }

  draw() {
    const rest = this.ids.length - this.out.size;
    const text = counted(this.ids.length, "picture", "pictures");
    this.heading.textContent = this.out.size ? `${rest.toLocaleString("en")} of ${text}` : text;
    const more = this.ids.length - this.shown.length;
    this.all.hidden = !more && !this.grid;
    this.hidden.hidden = !more || Boolean(this.grid);
    this.hidden.textContent = `${more.toLocaleString("en")} more ${more === 1 ? "is" : "are"} not shown here. The last ${LEAST} are the least alike.`;
    this.agree.hidden = !this.proposed;
    this.agree.firstChild.textContent = this.out.size ? `The rest: ${this.proposed}` : `All: ${this.proposed}`;
    this.split.firstChild.textContent = this.out.size ? "Split these off" : "Split";
    const pictures = details(this.shown);
    [...this.tiles.children].forEach((item, place) => {
      const button = item.firstChild;
      const isOut = this.out.has(this.shown[place]);
      fillTile(button.firstChild, pictures[place]);
      button.classList.toggle("out", isOut);
      button.setAttribute("aria-pressed", isOut);
      button.title = isOut ? "Taken out of this group: click to put it back" : "Click to take it out of this group";
    });
  }

  // All pictures of the group as a grid, in which those that are selected are taken out.
  open() {
    if (this.grid) {
      this.grid.element.remove();
      this.grid = null;
      this.tiles.hidden = false;
      this.all.firstChild.textContent = "Show all";
      return;
    }
    this.grid = new Grid("The pictures of this group; those selected are taken out", {
      selected: (ids) => {
        this.out = new Set(ids);
        this.draw();
      },
      opened: this.groups.openPicture,
    });
    this.grid.element.classList.add("inside");
    this.grid.selection.ids = new Set(this.out);
    this.tiles.hidden = true;
    this.all.firstChild.textContent = "Show fewer";
    this.element.append(this.grid.element);
    this.grid.show(this.ids);
    this.grid.focus();
  }

  step(by) {
    const buttons = [...this.tiles.querySelectorAll("button")];
    const place = buttons.indexOf(document.activeElement);
    buttons[Math.max(0, Math.min(buttons.length - 1, place + by))]?.focus();
  }

  label(name) {
    const ids = this.ids.filter((id) => !this.out.has(id));
    if (!ids.length) return false;
    decide(ids, name, { source: "group" });
    say(`${counted(ids.length, "picture", "pictures")}: ${name}`);
    return true;
  }

  remove() {
    const ids = this.ids.filter((id) => !this.out.has(id));
    if (ids.length) decide(ids, null, { source: "group", remove: true });
  }
}
