// Which of a list of pictures are selected: one, a range by shift, single ones by Ctrl, a rectangle by dragging.

export class Selection {
  constructor(changed) {
    this.ids = new Set();
    this.anchor = 0; // from which shift selects
    this.cursor = 0; // where the keyboard is
    this.changed = changed;
  }

  has(id) {
    return this.ids.has(id);
  }

  // Chooses the picture at a place of the list, as a click or an arrow key does.
  choose(list, index, { range = false, toggle = false, keep = false } = {}) {
    if (!list.length) return;
    this.cursor = Math.max(0, Math.min(index, list.length - 1));
    if (range) {
      const [first, last] = [this.anchor, this.cursor].sort((one, other) => one - other);
      this.ids = new Set(list.slice(first, last + 1));
    } else if (toggle) {
      const id = list[this.cursor];
      if (!this.ids.delete(id)) this.ids.add(id);
      this.anchor = this.cursor;
    } else if (!keep) {
      this.ids = new Set([list[this.cursor]]);
      this.anchor = this.cursor;
    }
    this.changed();
  }

  // All places of the list between two corners, in a grid of so many columns.
  rectangle(list, from, to, columns, before = new Set()) {
    const [top, bottom] = ends(Math.floor(from / columns), Math.floor(to / columns));
    const [left, right] = ends(from % columns, to % columns);
    const ids = new Set(before);
    for (let row = top; row <= bottom; row += 1) {
      for (let column = left; column <= right; column += 1) {
        const id = list[row * columns + column];
        if (id !== undefined) ids.add(id);
      }
    }
    this.ids = ids;
    this.cursor = Math.min(to, list.length - 1);
    this.changed();
  }

  all(list) {
    this.ids = new Set(list);
    this.changed();
  }

  clear() {
    this.ids = new Set();
    this.changed();
  }

  // After the list has become another one.
  keepWithin(list) {
    const present = new Set(list);
    for (const id of this.ids) if (!present.has(id)) this.ids.delete(id);
    this.cursor = Math.max(0, Math.min(this.cursor, list.length - 1));
    this.anchor = Math.min(this.anchor, this.cursor);
  }
}

function ends(one, other) {
  return one < other ? [one, other] : [other, one];
}
