// One large picture after the other, those first whose label teaches most, each with the proposed class.
import { element, percent, say } from "./dom.js";
import { whatNow } from "./done.js";
import { decide, details, get, large, store } from "./store.js";
import { fillTile, makeTile } from "./tile.js";

const QUEUE = 12; // pictures known ahead
const PREFETCHED = 4; // large ones loaded ahead
const SHORT = 5; // of the queue: more are fetched
const STRIP = 8; // earlier pictures shown below

export class Next {
  constructor() {
    this.queue = []; // pictures to come
    this.seen = []; // ids shown before, the latest last
    this.current = null; // a picture
    this.proposal = null; // what is shown of the current one; it does not change under the user's fingers
    this.isBusy = false;
    this.meanwhile = new Set(); // ids decided since the pictures that are being fetched were asked for
    this.images = new Map(); // id -> loaded image
    this.fitted = -1;
    this.figure = element("figure", { class: "stage" });
    this.caption = element("p", { class: "small caption" });
    this.proposed = element("div", { class: "proposal" });
    this.strip = element("ol", { class: "strip", "aria-label": "Pictures before this one" });
    this.element = element("section", { class: "next", "aria-label": "The next picture" }, [
      this.figure,
      element("div", { class: "words" }, this.proposed, this.caption),
      this.strip,
    ]);
  }

  enter() {
    this.#fetch();
  }

  update(state) {
    if (state.fit !== this.fitted || this.queue.length < SHORT) this.#fetch();
    const called = JSON.stringify(state.called);
    if (called !== this.called) this.#rename();
    this.called = called;
    const ids = [...this.seen.slice(-STRIP), this.current?.id].filter((id) => id !== undefined);
    details(ids); // what an undo or another window has changed
    if (this.current) this.current = store.known.get(this.current.id) ?? this.current;
    this.#strip();
    this.#words();
  }

  async #fetch() {
    if (this.isFetching) return;
    this.isFetching = true;
    this.fitted = store.state?.fit;
    this.meanwhile = new Set(this.isBusy ? [this.current?.id] : []);
    try {
      const { pictures } = await get(`next?count=${QUEUE}`);
      const open = pictures.filter(({ id }) => !this.meanwhile.has(id)); // the answer may be older than a decision
      for (const picture of open) store.known.set(picture.id, picture);
      this.queue = open.filter((picture) => picture.id !== this.current?.id && !isDecided(picture));
      if (!this.current || (isDecided(this.current) && !this.isBusy && !this.isBack)) this.#advance();
      this.#prefetch();
    } catch {
      // Asked again with the next state.
    } finally {
      this.isFetching = false;
    }
  }

  // A class has another name: what is proposed is called by it.
  async #rename() {
    const id = this.current?.id;
    if (id === undefined) return;
    const { pictures } = await get(`pictures?ids=${id}`);
    if (this.current?.id !== id) return;
    this.proposal = pictures[0].ranked;
    this.#words();
  }

  #prefetch() {
    const wanted = [this.current, ...this.queue.slice(0, PREFETCHED)].filter(Boolean);
    for (const picture of wanted) this.#image(picture);
    for (const id of this.images.keys()) {
      if (!wanted.some((picture) => picture.id === id)) this.images.delete(id);
    }
  }

  #image(picture) {
    let image = this.images.get(picture.id);
    if (!image) {
      image = element("img", { alt: picture.name, decoding: "sync", draggable: "false" });
      image.classList.toggle("pixelated", Math.max(picture.width, picture.height) < 256);
      image.src = large(picture);
      this.images.set(picture.id, image);
    }
    return image;
  }

  #advance() {
    if (this.current) this.#remember(this.current.id);
    this.isBack = false;
    this.#show(this.queue.shift() ?? null);
    if (this.queue.length < SHORT) this.#fetch();
    else this.#prefetch();
  }

  #remember(id) {
    this.seen = [...this.seen.filter((each) => each !== id), id].slice(-200);
  }

  #show(picture) {
    this.current = picture;
    this.proposal = picture?.ranked ?? [];
    this.shownAt = performance.now();
    this.figure.replaceChildren(picture ? this.#image(picture) : this.#nothing());
    this.figure.dataset.id = picture?.id ?? "";
    this.#words();
    this.#strip();
  }

  #nothing() {
    const now = store.state && whatNow(store.state);
    return element("div", { class: "nothing" }, now ?? element("p", { class: "lead" }, "Looking for the next picture …"));
  }

  #words() {
    const picture = this.current;
    this.caption.textContent = picture?.name ?? "";
    if (!picture) return this.proposed.replaceChildren();
    if (!this.proposal.length) this.proposal = store.known.get(picture.id)?.ranked ?? [];
    const drawn = JSON.stringify([picture.id, picture.label, picture.removed, this.proposal, store.state.classes.length]);
    if (drawn === this.drawn) return undefined;
    this.drawn = drawn;
    if (isDecided(picture)) {
      const label = picture.removed ? "left out" : picture.label;
      return this.proposed.replaceChildren(element("p", { class: "given" }, "labelled ", element("strong", {}, label)));
    }
    if (!this.proposal.length) {
      const text = store.state.classes.length
        ? "What is this? Choose its class, or type a new one."
        : "What is this? Type the name of its class.";
      return this.proposed.replaceChildren(element("p", { class: "given" }, text, element("kbd", {}, "n")));
    }
    const [best, ...others] = this.proposal;
    return this.proposed.replaceChildren(
      element(
        "button",
        { class: "button primary accept", type: "button", onclick: () => this.accept() },
        `${best.name} `,
        element("span", { class: "of" }, percent(best.probability)),
        element("kbd", {}, "space"),
      ),
      element("p", { class: "small" }, others.map(({ name, probability }) => `${name} ${percent(probability)}`).join(", ")),
    );
  }

  #strip() {
    const ids = this.seen.slice(-STRIP);
    this.strip.replaceChildren(
      ...ids.map((id) => {
        const tile = makeTile();
        fillTile(tile, store.known.get(id), id === this.current?.id);
        return element("li", {}, element("button", { type: "button", onclick: () => this.#back(id) }, tile));
      }),
    );
  }

  #back(id) {
    const picture = store.known.get(id);
    if (!picture || id === this.current?.id) return;
    if (this.current && !isDecided(this.current)) this.queue.unshift(this.current);
    this.isBack = true;
    this.#show(picture);
  }

  async #decide(label, remove = false) {
    const picture = this.current;
    if (!picture || this.isBusy) return false;
    this.isBusy = true;
    this.meanwhile.add(picture.id);
    try {
      await decide([picture.id], label, { source: "next", remove });
      say(remove ? "Left out" : label === null ? "Label taken away" : label);
      this.#advance(); // only now: the decision is on the disk
    } finally {
      this.isBusy = false;
    }
    return true;
  }

  label(name) {
    if (!this.current) return false;
    this.#decide(name);
    return true;
  }

  accept() {
    if (this.proposal?.length && !isDecided(this.current)) this.#decide(this.proposal[0].name);
  }

  remove() {
    this.#decide(null, true);
  }

  clear() {
    this.#decide(null);
  }

  // After an undo or a redo of these pictures, the last of them is shown again.
  restored(ids) {
    if (ids.length) this.#back(ids.at(-1));
  }

  key(event) {
    if (event.key === "ArrowRight") {
      if (this.current && !isDecided(this.current)) this.queue.push(this.current);
      this.#advance();
    } else if (event.key === "ArrowLeft") {
      const place = this.isBack ? this.seen.indexOf(this.current.id) : this.seen.length;
      if (place > 0) this.#back(this.seen[place - 1]);
    } else return false;
    return true;
  }
}

function isDecided(picture) {
  return Boolean(picture && (picture.label || picture.removed));
}
