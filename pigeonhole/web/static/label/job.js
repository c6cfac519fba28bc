// What was started last, a training or an export: what is done by now, and whether its model can be asked.
import { element, say } from "./dom.js";
import { post } from "./store.js";

export const FORMS = [
  ["bundle", "Bundle", "Everything in one archive, with the rule in words: for Pigeonhole on another computer"],
  ["web", "Web page", "A page that answers in any browser, also on a phone, once it lies on a web server"],
  ["onnx", "ONNX", "One file for ONNX Runtime, in any language"],
];
const TITLES = Object.fromEntries(FORMS);
const FITS = ["Look at the labelled pictures", "Fit a model to them"];
const STAGES = {
  quick: [...FITS, "Judge it, and write its report"],
  full: [...FITS, "Try other networks, judge the best, and write its report"],
};
const JUDGING = 2; // the stage in which the model answers

// Its parts stay, so that the focus does.
export class JobCard {
  constructor() {
    this.title = element("h2");
    this.stages = element("ol", { class: "stages" });
    this.answers = element("p", { class: "small" });
    this.ask = element("a", { class: "button primary" }, "Ask it");
    this.words = element("p", { class: "small" });
    this.bar = element("progress", { "aria-label": "Steps done" });
    this.stop = element("button", { class: "button", type: "button", onclick: () => this.#stop() });
    this.watch = element("a", { class: "button" }, "Watch");
    this.said = element("pre", { tabindex: "0" });
    this.element = element(
      "article",
      { class: "sheet job", hidden: true },
      this.title,
      this.stages,
      this.bar,
      this.answers,
      this.words,
      element("p", { class: "buttons" }, this.ask, this.watch, this.stop),
      element("details", {}, element("summary", {}, "What it says"), this.said),
    );
  }

  // `isAsked`: whether the model of its run answers by now.
  draw(job, isAsked) {
    this.element.hidden = !job;
    if (!job) return;
    const isRunning = job.state === "running";
    const isTraining = job.kind !== "export";
    if (this.title.textContent !== told(job)) this.title.textContent = told(job);
    this.element.classList.toggle("failed", job.state === "failed");
    this.#stages(isRunning && isTraining ? job : null);
    this.bar.hidden = !isRunning || !job.total;
    this.bar.max = job.total || 1;
    this.bar.value = job.done || 0;
    this.answers.hidden = !isRunning || !isTraining || job.stage < JUDGING;
    const answers = isAsked ? "The model answers already." : "The model is saved, and can be asked in a moment.";
    if (this.answers.textContent !== answers) this.answers.textContent = answers;
    this.ask.hidden = !isTraining || !isAsked || (isRunning && job.stage < JUDGING);
    this.ask.href = `/?model=${encodeURIComponent(job.run)}`;
    this.words.textContent = job.reason || timed(job, isRunning, isTraining);
    this.stop.hidden = !isRunning;
    this.stop.textContent = !isTraining ? "Stop" : job.stage < JUDGING ? "Stop" : "Stop, and keep the best so far";
    this.watch.hidden = !isRunning || !job.total;
    this.watch.href = watched(job.run);
    this.said.textContent = job.said.join("\n");
  }

  #stages(job) {
    this.stages.hidden = !job;
    const titles = job ? (STAGES[job.kind] ?? STAGES.full) : [];
    const drawn = JSON.stringify([titles, job?.stage]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.stages.replaceChildren(
      ...titles.map((title, place) => {
        const state = place < job.stage ? "over" : place === job.stage ? "now" : "to-come";
        const current = state === "now" ? "step" : null;
        const spoken = state === "over" ? element("span", { class: "unseen" }, " (done)") : null;
        return element("li", { class: state, "aria-current": current }, title, spoken);
      }),
    );
  }

  async #stop() {
    this.stop.disabled = true;
    await post("training/stop").catch((error) => say(error.message, true));
    this.stop.disabled = false;
  }
}

// What happens, or has happened, in a few words.
export function told({ kind, run, form, state }) {
  const what = { quick: `Saving this model as ${run}`, export: `${TITLES[form]} of ${run}` }[kind] ?? `Training ${run}`;
  const done = { quick: `${run} is saved`, export: `${TITLES[form]} of ${run} is written` }[kind] ?? `${run} is trained`;
  return { running: `${what} …`, done, stopped: `${what}: stopped`, failed: `${what} has failed` }[state];
}

export const watched = (name) => `/watch?run=${encodeURIComponent(name)}`;

function timed(job, isRunning, isTraining) {
  if (!isRunning) return `It took ${clock(job.seconds)}.`;
  const left = job.seconds_left ? `, about ${clock(job.seconds_left)} to go with this network` : "";
  return `${clock(job.seconds)} so far${left}.${isTraining ? " You can label on, or close this page: it goes on." : ""}`;
}

function clock(seconds) {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
