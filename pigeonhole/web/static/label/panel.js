// The panel beside every view: the classes with their keys, how far the labelling is, and how good the model.
import { drawCurve } from "./curve.js";
import { counted, element, percent, say } from "./dom.js";
import { addClass, redo, store, undo } from "./store.js";

const FEWEST = 10; // labels for an accuracy

export class Panel {
  // `acts`: `give(name)` labels what the view is about; `undo` and `redo`.
  constructor(acts) {
    this.give = acts.give;
    this.classes = document.getElementById("classes");
    this.form = document.getElementById("naming");
    this.name = document.getElementById("name");
    this.known = document.getElementById("known");
    this.form.addEventListener("submit", (event) => this.#submit(event));
    this.name.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.name.blur();
    });
    document.getElementById("undo").addEventListener("click", acts.undo);
    document.getElementById("redo").addEventListener("click", acts.redo);
    this.notice = document.getElementById("notice");
    this.notice.querySelector("button").addEventListener("click", () => {
      this.read = store.state.notice;
      this.#notice(store.state);
    });
    const more = document.getElementById("more");
    more.addEventListener("click", () => {
      const isOpen = document.body.classList.toggle("panel-open");
      more.setAttribute("aria-expanded", isOpen);
    });
  }

  askForName() {
    this.name.focus();
    this.name.select();
  }

  #submit(event) {
    event.preventDefault();
    const typed = this.name.value.trim();
    if (!typed) return;
    const same = store.state.classes.find(({ name }) => name.toLowerCase() === typed.toLowerCase());
    this.name.value = "";
    this.name.blur();
    if (!this.give(same?.name ?? typed) && !same) {
      addClass(typed).then(() => say(`New class ${typed}`));
    }
  }

  update(state) {
    this.#classes(state);
    document.getElementById("undo").disabled = !state.can_undo;
    document.getElementById("redo").disabled = !state.can_redo;
    const { pictures, undecided, removed } = state.counts;
    const decided = pictures - undecided - removed;
    const bar = document.getElementById("done");
    bar.max = Math.max(1, pictures);
    bar.value = decided + removed;
    const left = removed ? `, ${counted(removed, "left out", "left out")}` : "";
    document.getElementById("counts").textContent =
      `${decided.toLocaleString("en")} of ${counted(pictures, "picture", "pictures")} labelled${left}`;
    const unreadable = document.getElementById("unreadable");
    unreadable.hidden = !state.unreadable;
    unreadable.textContent = `${counted(state.unreadable, "file", "files")} cannot be read`;
    this.#accuracy(state, pictures - removed);
    this.#progress(state.progress);
    this.#notice(state);
    const problem = document.getElementById("problem");
    problem.hidden = !state.problem;
    problem.textContent = state.problem && `No model learns along: ${state.problem}`;
  }

  #classes({ classes }) {
    const drawn = JSON.stringify(classes);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const focused = document.activeElement?.dataset?.class;
    this.classes.replaceChildren(
      ...classes.map(({ name, count }, place) =>
        element(
          "li",
          {},
          element(
            "button",
            { class: "give", type: "button", "data-class": name, onclick: () => this.give(name) },
            place < 9 ? element("kbd", { "aria-hidden": "true" }, `${place + 1}`) : element("kbd", { class: "none" }),
            element("span", { class: "name" }, name),
          ),
          element(
            "a",
            { class: "count", href: `#all/class/${encodeURIComponent(name)}`, title: `Show all of ${name}` },
            count.toLocaleString("en"),
            element("span", { class: "unseen" }, ` ${count === 1 ? "picture" : "pictures"} of ${name}`),
          ),
        ),
      ),
    );
    this.known.replaceChildren(...classes.map(({ name }) => element("option", { value: name })));
    document.getElementById("no-classes").hidden = classes.length > 0;
    document.getElementById("open-rename").hidden = !classes.length;
    if (focused) this.classes.querySelector(`[data-class="${CSS.escape(focused)}"]`)?.focus();
  }

  #accuracy({ accuracy, curve, advice }, pictures) {
    const value = document.getElementById("accuracy");
    const interval = document.getElementById("interval");
    const labelled = document.getElementById("labelled");
    if (accuracy) {
      value.textContent = percent(accuracy.value);
      const all = accuracy.total >= pictures;
      interval.textContent = `roughly ${percent(accuracy.low)} to ${percent(accuracy.high)}, expected of ${all ? "pictures like these" : `all ${pictures.toLocaleString("en")} pictures`}`;
      labelled.hidden = all;
      labelled.textContent = `Of the labelled ones alone: ${percent(accuracy.labelled)}. That is less where Next has chosen hard ones. A saved model is judged by these.`;
    } else {
      value.textContent = "–";
      labelled.hidden = true;
      interval.textContent = `shown once about ${FEWEST} pictures of two classes have a label`;
    }
    document.getElementById("short-accuracy").textContent = accuracy ? percent(accuracy.value) : "";
    document.getElementById("advice").textContent = advice ?? "";
    drawCurve(document.getElementById("curve"), curve);
  }

  // What has befallen the file of decisions; shown until it is mended, or closed by the user.
  #notice({ notice }) {
    if (!notice) this.read = "";
    this.notice.hidden = !notice || notice === this.read;
    const words = this.notice.querySelector("span");
    if (words.textContent !== notice) words.textContent = notice;
  }

  #progress(progress) {
    const place = document.getElementById("progress");
    place.hidden = !progress;
    if (!progress) return;
    place.querySelector("progress").max = Math.max(1, progress.total);
    place.querySelector("progress").value = progress.done;
    const left = progress.seconds_left ? `, about ${clock(progress.seconds_left)} to go` : "";
    const done = `${progress.done.toLocaleString("en")} of ${progress.total.toLocaleString("en")}`;
    place.querySelector("p").textContent = `Looking at the pictures: ${done}${left}`;
  }
}

// Gives the ids of the pictures whose labels were taken back.
export async function takeBack() {
  const { ids, renamed } = await undo();
  if (renamed) say("Taken back: the new name of a class");
  else say(ids.length ? `Taken back: ${counted(ids.length, "picture", "pictures")}` : "Nothing to take back");
  return renamed ? [] : ids;
}

export async function giveBack() {
  const { ids, renamed } = await redo();
  if (renamed) say("Done again: the new name of a class");
  else say(ids.length ? `Done again: ${counted(ids.length, "picture", "pictures")}` : "Nothing to do again");
  return renamed ? [] : ids;
}

function clock(seconds) {
  return seconds < 60 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}
