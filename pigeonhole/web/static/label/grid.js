// A list of any number of pictures as a grid of tiles. Only those in sight, and a few around, exist as elements.
import { element } from "./dom.js";
import { Selection } from "./selection.js";
import { details } from "./store.js";
import { fillTile, makeTile } from "./tile.js";

const GAP = 8; // pixels
const WIDEST = 152; // pixels, of a tile
const NARROWEST = 100;
const ROWS_AROUND = 3; // drawn above and below those in sight
const DRAG = 6; // pixels of movement that make a click a drag
const EDGE = 40; // pixels from the edge, where dragging scrolls

export class Grid {
  // `look(picture)`: the picture as its tile shows it.
  constructor(label, { selected = () => {}, opened = () => {}, look = (picture) => picture } = {}) {
    this.list = [];
    this.tiles = new Map(); // place in the list -> element
    this.opened = opened;
    this.look = look;
    this.selection = new Selection(() => {
      this.draw();
      selected(this.selection.ids);
    });
    this.canvas = element("div", {
      class: "canvas",
      role: "listbox",
      "aria-label": label,
      "aria-multiselectable": "true",
    });
    this.element = element("div", { class: "scroller", tabindex: "-1" }, this.canvas);
    this.element.addEventListener("scroll", () => this.draw(), { passive: true });
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.canvas.addEventListener("pointerdown", (event) => this.#press(event));
    this.canvas.addEventListener("click", (event) => this.#tap(event));
    this.canvas.addEventListener("dblclick", (event) => this.#open(event));
    new ResizeObserver(() => this.#measure()).observe(this.element);
  }

  show(list) {
    this.list = list;
    this.selection.keepWithin(list);
    this.#measure();
  }

  top() {
    this.element.scrollTop = 0;
    this.selection.cursor = 0;
    this.selection.clear();
  }

  #measure() {
    const width = this.canvas.clientWidth;
    if (width <= 0) return;
    this.columns = Math.max(2, Math.ceil((width + GAP) / (WIDEST + GAP)));
    if ((width + GAP) / this.columns - GAP < NARROWEST) this.columns = Math.max(2, this.columns - 1);
    this.side = (width + GAP) / this.columns - GAP;
    this.pitch = this.side + GAP;
    this.canvas.style.height = `${Math.ceil(this.list.length / this.columns) * this.pitch}px`;
    this.draw();
  }

  draw() {
    if (!this.columns) return;
    const above = Math.floor(this.element.scrollTop / this.pitch) - ROWS_AROUND;
    const rows = Math.ceil(this.element.clientHeight / this.pitch) + 2 * ROWS_AROUND + 1;
    const first = Math.max(0, above * this.columns);
    const last = Math.min(this.list.length, (above + rows) * this.columns);
    const kept = new Set();
    for (let place = first; place < last; place += 1) kept.add(place);
    const cursor = this.selection.cursor;
    for (const [place, tile] of this.tiles) {
      const holdsFocus = tile === document.activeElement && place === cursor;
      if (!kept.has(place) && !holdsFocus) {
        tile.remove();
        this.tiles.delete(place);
      }
    }
    const pictures = details(this.list.slice(first, last));
    for (let place = first; place < last; place += 1) this.#place(place, pictures[place - first]);
  }

  #place(place, picture) {
    let tile = this.tiles.get(place);
    if (!tile) {
      tile = makeTile("option");
      this.tiles.set(place, tile);
      const after = this.tiles.get(place + 1);
      this.canvas.insertBefore(tile, after ?? null);
    }
    const id = this.list[place];
    const isSelected = this.selection.has(id);
    fillTile(tile, this.look(picture), isSelected);
    tile.dataset.place = place;
    tile.style.width = tile.style.height = `${this.side}px`;
    const [row, column] = [Math.floor(place / this.columns), place % this.columns];
    tile.style.transform = `translate(${column * this.pitch}px, ${row * this.pitch}px)`;
    tile.setAttribute("aria-selected", isSelected);
    tile.setAttribute("aria-posinset", place + 1);
    tile.setAttribute("aria-setsize", this.list.length);
    tile.tabIndex = place === this.selection.cursor ? 0 : -1;
  }

  focus() {
    if (!this.list.length) return;
    const place = this.selection.cursor;
    const top = Math.floor(place / this.columns) * this.pitch;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.pitch > scrollTop + clientHeight)
      this.element.scrollTop = top + this.pitch - clientHeight + GAP;
    this.draw();
    this.tiles.get(place)?.focus({ preventScroll: true });
  }

  // The selected pictures, in the order of the list.
  selected() {
    return this.list.filter((id) => this.selection.has(id));
  }

  #key(event) {
    const page = this.columns * Math.max(1, Math.floor(this.element.clientHeight / this.pitch) - 1);
    const steps = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -this.columns,
      ArrowDown: this.columns,
      PageUp: -page,
      PageDown: page,
      Home: -this.list.length,
      End: this.list.length,
    };
    const control = event.ctrlKey || event.metaKey;
    if (event.key in steps) {
      const next = this.selection.cursor + steps[event.key];
      this.selection.choose(this.list, next, { range: event.shiftKey, keep: control });
      this.focus();
    } else if (control && event.key === "a") {
      this.selection.all(this.list);
    } else if (control && event.key === " ") {
      this.selection.choose(this.list, this.selection.cursor, { toggle: true });
    } else if (event.key === "Escape") {
      this.selection.clear();
    } else if (event.key === "Enter") {
      this.opened(this.list[this.selection.cursor]);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #open(event) {
    const place = placeOf(event.target);
    if (place !== null) this.opened(this.list[place]);
  }

  #press(event) {
    const start = placeOf(event.target);
    if (event.button !== 0) return;
    this.touched = event.pointerType === "touch";
    if (this.touched) return; // a finger scrolls; see `#tap`
    event.preventDefault();
    const toggle = event.ctrlKey || event.metaKey;
    const before = toggle || event.shiftKey ? new Set(this.selection.ids) : new Set();
    if (start !== null) {
      this.selection.choose(this.list, start, { range: event.shiftKey, toggle });
      this.focus();
    }
    this.#drag(event, start ?? this.#under(event), before);
  }

  // A tap of a finger selects one more, or one less.
  #tap(event) {
    const place = placeOf(event.target);
    if (this.touched && place !== null) this.selection.choose(this.list, place, { toggle: true });
  }

  #drag(event, start, before) {
    let latest = event;
    let isDragging = false;
    const move = (moved) => {
      latest = moved;
      const far = Math.hypot(moved.clientX - event.clientX, moved.clientY - event.clientY) > DRAG;
      isDragging ||= far;
      if (isDragging) this.selection.rectangle(this.list, start, this.#under(moved), this.columns, before);
    };
    const scroll = setInterval(() => {
      const box = this.element.getBoundingClientRect();
      const speed = latest.clientY < box.top + EDGE ? -24 : latest.clientY > box.bottom - EDGE ? 24 : 0;
      if (isDragging && speed) {
        this.element.scrollTop += speed;
        move(latest);
      }
    }, 30);
    const stop = () => {
      clearInterval(scroll);
      document.removeEventListener("pointermove", move);
      document.removeEventListener("pointerup", stop);
      document.removeEventListener("pointercancel", stop);
    };
    document.addEventListener("pointermove", move);
    document.addEventListener("pointerup", stop);
    document.addEventListener("pointercancel", stop);
  }

  // The place of the list under the pointer, or the nearest.
  #under(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / this.pitch);
    const row = Math.floor((event.clientY - box.top) / this.pitch);
    const inside = Math.max(0, Math.min(column, this.columns - 1)) + Math.max(0, row) * this.columns;
    return Math.min(inside, this.list.length - 1);
  }
}

function placeOf(target) {
  const tile = target.closest?.(".tile");
  return tile ? Number(tile.dataset.place) : null;
}
