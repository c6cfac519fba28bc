// Labels that look wrong, the likeliest first, each beside labelled pictures like it; and copies that disagree.
import { counted, element, frame, percent, say } from "./dom.js";
import { Heat } from "./heat.js";
import { decide, details, get, keep, large, store } from "./store.js";
import { fillTile, makeTile } from "./tile.js";

const BEFORE = 2; // cases shown before the present one
const SHOWN = 10; // cases shown below

export class Review {
  constructor({ show }) {
    this.openPicture = show;
    this.cases = [];
    this.place = 0;
    this.heat = new Heat();
    this.lead = element("p", { class: "lead hint" });
    this.case = element("div", { class: "case" });
    this.list = element("ol", { class: "strip suspects", "aria-label": "Labels to review" });
    this.element = element("section", { class: "review", "aria-label": "Review" }, this.lead, this.case, this.list);
  }

  enter() {
    this.#fetch();
  }

  update(state) {
    const called = JSON.stringify(state.called);
    if ((!this.cases.length && state.fit !== this.fitted) || called !== this.called) this.#fetch();
    // What an undo or another window has changed.
    details(this.cases.slice(Math.max(0, this.place - BEFORE), this.place + SHOWN).flatMap(({ ids }) => ids));
    this.#draw();
  }

  // The list stays as it is while it is worked through; it is made anew when its end is reached, and where a
  // class has another name.
  async #fetch() {
    this.fitted = store.state.fit;
    this.called = JSON.stringify(store.state.called);
    const before = this.cases[this.place]?.ids[0];
    const { suspects, copies } = await get("review");
    for (const picture of [...suspects.flatMap((each) => [each.picture, ...each.nearest]), ...copies.flat()]) {
      store.known.set(picture.id, picture);
    }
    this.cases = [
      ...copies.map((pictures) => ({ ids: pictures.map(({ id }) => id) })),
      ...suspects.map(({ picture, nearest, ...facts }) => ({
        ids: [picture.id],
        nearest: nearest.map(({ id }) => id),
        ...facts,
      })),
    ];
    this.place = Math.max(0, this.cases.findIndex(({ ids }) => ids[0] === before));
    this.drawn = null;
    this.#draw();
  }

  #draw() {
    const { counts, fit } = store.state;
    const now = this.cases[this.place];
    if (!now) {
      const few = counts.pictures - counts.undecided < 20 || !fit;
      this.lead.textContent = few
        ? "Labels that look wrong are listed here once some twenty pictures have a label."
        : "No label looks wrong.";
    } else {
      this.lead.textContent = `${this.place + 1} of ${counted(this.cases.length, "label", "labels")} to look at, the most doubtful first`;
    }
    const drawn = JSON.stringify([this.place, now?.ids.map((id) => store.known.get(id)), this.cases.length]);
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      if (!now?.proposed) this.heat.stop();
      this.case.replaceChildren(...(!now ? [] : now.ids.length > 1 ? this.#copies(now) : this.#suspect(now)));
      this.#strip();
    }
  }

  #suspect({ ids: [id], given, proposed, doubt, nearest }) {
    const picture = store.known.get(id);
    const done = picture.removed ? "left out" : picture.label;
    return [
      element(
        "div",
        { class: "looks" },
        element("figure", {}, frame(picture, element("img", { src: large(picture), alt: picture.name }))),
        this.heat.show(picture, proposed),
      ),
      element(
        "div",
        { class: "words" },
        element("p", { class: "given" }, "labelled ", element("strong", {}, done), done === given ? "" : ` (was ${given})`),
        element("p", { class: "small" }, `wrong with a probability of ${percent(doubt)}; ${picture.name}`),
        element(
          "p",
          { class: "buttons" },
          button(`Change to ${proposed}`, "space", () => this.accept(), "primary"),
          button(`Keep ${given}`, "k", () => this.#keep()),
          button("Leave out", "x", () => this.remove()),
        ),
        nearest.length ? element("p", { class: "small" }, "Labelled pictures most like it:") : null,
        this.#tiles(nearest),
      ),
    ];
  }

  #copies({ ids }) {
    return [
      element(
        "div",
        { class: "words" },
        element("p", { class: "given" }, `${ids.length} near copies, with different labels`),
        element("p", { class: "small" }, "The number of a class gives it to all of them."),
        this.#tiles(ids, "copies"),
        element("p", { class: "buttons" }, button("Keep as they are", "k", () => this.#keep())),
      ),
    ];
  }

  #tiles(ids, kind = "nearest") {
    return element(
      "ul",
      { class: `tiles ${kind}` },
      ids.map((id) => {
        const tile = makeTile();
        fillTile(tile, store.known.get(id));
        return element("li", {}, element("button", { type: "button", onclick: () => this.openPicture(id) }, tile));
      }),
    );
  }

  #strip() {
    const first = Math.max(0, this.place - BEFORE);
    this.list.replaceChildren(
      ...this.cases.slice(first, first + SHOWN).map(({ ids }, offset) => {
        const tile = makeTile();
        fillTile(tile, store.known.get(ids[0]), first + offset === this.place);
        return element("li", {}, element("button", { type: "button", onclick: () => this.#go(first + offset) }, tile));
      }),
    );
  }

  #go(place) {
    this.place = Math.max(0, Math.min(place, this.cases.length));
    this.#draw();
    if (this.place === this.cases.length && this.cases.length) this.#fetch();
  }

  #advance() {
    this.#go(this.place + 1);
  }

  // What is done about the present case, and the next one once that is on the disk.
  async #act(change, told) {
    const now = this.cases[this.place];
    if (!now || this.isBusy) return;
    this.isBusy = true;
    try {
      await change(now);
      say(told);
      this.#advance();
    } finally {
      this.isBusy = false;
    }
  }

  #decide(label, remove = false) {
    this.#act(({ ids }) => decide(ids, label, { source: "review", remove }), remove ? "Left out" : label);
  }

  label(name) {
    if (!this.cases[this.place]) return false;
    this.#decide(name);
    return true;
  }

  accept() {
    const proposed = this.cases[this.place]?.proposed;
    if (proposed) this.#decide(proposed);
  }

  #keep() {
    const given = this.cases[this.place]?.given;
    if (given) this.#decide(given);
    else this.#act(({ ids }) => keep(ids), "Kept as they are");
  }

  // After an undo or a redo of these pictures, their case is shown again.
  restored(ids) {
    const place = this.cases.findIndex((each) => each.ids.some((id) => ids.includes(id)));
    if (place >= 0) this.#go(place);
  }

  remove() {
    if (this.cases[this.place]) this.#decide(null, true);
  }

  clear() {}

  key(event) {
    if (event.key === "k") this.#keep();
    else if (event.key === "ArrowRight") this.#go(this.place + 1);
    else if (event.key === "ArrowLeft") this.#go(this.place - 1);
    else return false;
    return true;
  }
}

function button(text, key, act, kind = "") {
  return element("button", { class: `button ${kind}`, type: "button", onclick: act }, `${text} `, element("kbd", {}, key));
}
