// Puts the page together: the views, the panel, the keys.
import { All } from "./all.js";
import { Answers } from "./answers.js";
import { CameraView } from "./camera.js";
import { Groups } from "./groups.js";
import { Next } from "./next.js";
import { Panel, giveBack, takeBack } from "./panel.js";
import { Picture } from "./picture.js";
import { Renaming } from "./rename.js";
import { Review } from "./review.js";
import { Train } from "./train.js";
import { listenToKeys } from "./keys.js";
import { listen, poll, store } from "./store.js";

const picture = new Picture();
const given = { show: (id) => picture.show(id) };
const views = {
  groups: new Groups(given),
  next: new Next(given),
  all: new All(given),
  review: new Review(given),
  answers: new Answers(given),
  camera: new CameraView(),
  train: new Train(),
};
const stage = document.getElementById("view");
let view = null;
const acts = {
  give: (name) => (picture.isOpen ? picture : view).label(name),
  undo: () => takeBack().then((ids) => view.restored?.(ids)),
  redo: () => giveBack().then((ids) => view.restored?.(ids)),
};
const panel = new Panel(acts);
const renaming = new Renaming();

listenToKeys({
  class: (place) => {
    const chosen = store.state.classes[place];
    if (chosen) acts.give(chosen.name);
  },
  accept: () => view.accept(),
  remove: () => view.remove(),
  clear: () => view.clear(),
  name: () => panel.askForName(),
  rename: () => renaming.open(),
  undo: acts.undo,
  redo: acts.redo,
  help: () => document.getElementById("help").showModal(),
  other: (event) => view.key(event),
});

function start() {
  const { pictures, undecided } = store.state.counts;
  if (!pictures) return views.camera;
  return undecided ? views.groups : views.review;
}

function go() {
  const [name, ...rest] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const wanted = views[name] ?? start();
  for (const link of document.querySelectorAll("#views a")) {
    const isHere = views[link.hash.slice(1)] === wanted;
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    if (isHere) link.scrollIntoView({ block: "nearest", inline: "nearest" }); // on a phone not all fit
  }
  if (view !== wanted) {
    stage.replaceChildren(wanted.element);
    view = wanted;
  }
  document.body.dataset.view = Object.keys(views).find((key) => views[key] === wanted);
  view.enter(rest);
}

function update(state) {
  panel.update(state);
  picture.update();
  if (view) view.update(state);
}

const stop = listen(() => {
  stop();
  window.addEventListener("hashchange", go);
  go();
  listen(update);
  update(store.state);
});
document.getElementById("open-help").addEventListener("click", () => document.getElementById("help").showModal());
poll();
