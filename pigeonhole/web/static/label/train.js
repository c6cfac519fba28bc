// Training from the page: what is started, how far it is, and the runs that have come of it.
import { element, percent, say } from "./dom.js";
import { get, post, store } from "./store.js";

const POLL = { running: 1000, idle: 5000 }; // milliseconds
const FORMS = [
  ["bundle", "Bundle", "Everything in one archive, with the rule in words: for pigeonhole predict and serve"],
  ["web", "Web page", "A page that answers in any browser, also on a phone, without a server"],
  ["onnx", "ONNX", "One file for ONNX Runtime, in any language"],
];
const TITLES = Object.fromEntries(FORMS);

export class Train {
  constructor() {
    this.minutes = element("input", {
      id: "minutes", type: "number", min: "0.5", max: "10000", step: "0.5", placeholder: "as needed",
    });
    this.quick = button("Save this model", () => this.#start({ quick: true }), "primary");
    this.full = button("Train in full", () => this.#start({ minutes: Number(this.minutes.value) || null }));
    this.why = element("p", { class: "small", hidden: true });
    this.job = new JobCard();
    this.compared = element("section", { class: "compared", "aria-label": "Compared", hidden: true });
    this.runs = element("ul", { class: "runs" });
    this.none = element("p", { class: "small" }, "None yet.");
    this.element = element(
      "section",
      { class: "train", "aria-label": "Train" },
      element(
        "div",
        { class: "ways" },
        element(
          "article",
          { class: "sheet" },
          element("h2", {}, "Save this model"),
          element("p", {}, "The model that learns along is fitted to all labels so far and saved as a run, with its accuracy and a report. Nothing else is tried."),
          element("p", { class: "buttons" }, this.quick),
        ),
        element(
          "article",
          { class: "sheet" },
          element("h2", {}, "Train in full"),
          element("p", {}, "Other networks are trained for some minutes, and what does better is kept. You can label meanwhile; those labels are for the next training."),
          element("p", { class: "buttons" }, element("label", { for: "minutes" }, "Minutes "), this.minutes, this.full),
        ),
      ),
      this.why,
      this.job.element,
      this.compared,
      element("h2", { class: "heading" }, "Models of these pictures"),
      this.none,
      this.runs,
    );
  }

  enter() {
    clearTimeout(this.timer);
    this.#poll();
  }

  update({ classes }) {
    const few = classes.filter(({ count }) => count > 0).length < 2;
    const isRunning = this.state?.job?.state === "running";
    this.quick.disabled = this.full.disabled = few || isRunning;
    this.why.hidden = !few;
    this.why.textContent = "Training needs pictures of two classes.";
  }

  async #poll() {
    const state = await get("training").catch(() => null);
    if (state) this.#take(state);
    if (document.body.dataset.view !== "train") return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#poll(), this.state?.job?.state === "running" ? POLL.running : POLL.idle);
  }

  #take(state) {
    const before = this.state?.job;
    this.state = state;
    this.job.draw(state.job);
    if (before?.state === "running" && state.job.state !== "running") this.#ended(state.job);
    this.#draw("compared", this.compared, state.compared, () => this.#comparison(state.compared));
    const isRunning = state.job?.state === "running";
    this.#draw("runs", this.runs, [state.runs, isRunning], () => state.runs.map((run) => this.#run(run, isRunning)));
    this.none.hidden = state.runs.length > 0;
    if (store.state) this.update(store.state);
  }

  #draw(name, place, content, make) {
    const drawn = JSON.stringify(content);
    if (this[`drawn-${name}`] === drawn) return;
    this[`drawn-${name}`] = drawn;
    const focused = document.activeElement?.dataset?.key;
    place.replaceChildren(...make());
    if (focused) place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  #ended(job) {
    say(told(job), job.state === "failed");
    const { run, form } = this.wanted ?? {};
    if (job.state === "done" && job.kind === "export" && run === job.run && form === job.form) {
      location.assign(address(run, form));
    }
    this.wanted = null;
  }

  async #ask(path, body = {}) {
    try {
      this.#take(await post(`training/${path}`, body));
      this.enter();
    } catch (error) {
      say(error.message, true);
    }
  }

  #start(body) {
    this.#ask("start", body);
  }

  #run(run, isRunning) {
    const { name, accuracy, state, has_model: hasModel } = run;
    const judged = accuracy && `${percent(accuracy[0])}, 95 % interval ${percent(accuracy[1])} to ${percent(accuracy[2])}, by ${accuracy[3].toLocaleString("en")} pictures`;
    const words = { training: "training", stopped: "stopped before its end" }[state];
    return element(
      "li",
      { class: "sheet" },
      element("h3", {}, name, words ? element("span", { class: "small" }, ` ${words}`) : null),
      element("p", { class: "small" }, judged ?? (hasModel ? "no accuracy yet" : "no model yet")),
      element(
        "p",
        { class: "buttons" },
        run.asked ? link("Ask it", `/?model=${encodeURIComponent(name)}`, "primary") : null,
        run.has_report && run.asked ? link("Report", `/models/${encodeURIComponent(name)}/report`) : null,
        state === "stopped" ? button("Go on", () => this.#ask("resume", { run: name }), "", { disabled: isRunning, key: `${name}/resume` }) : null,
        run.has_curves ? link(state === "training" ? "Watch" : "Curves", watched(name)) : null,
      ),
      hasModel && state !== "training"
        ? element("p", { class: "buttons forms" }, element("span", { class: "small" }, "Download: "), FORMS.map((form) => this.#form(run, form, isRunning)))
        : null,
    );
  }

  #form(run, [form, title, text], isRunning) {
    if (run.forms.includes(form)) return link(title, address(run.name, form), "", { download: "", title: text });
    const start = () => {
      this.wanted = { run: run.name, form };
      this.#ask("export", this.wanted);
    };
    return button(title, start, "", { disabled: isRunning, title: text, key: `${run.name}/${form}` });
  }

  #comparison(compared) {
    this.compared.hidden = !compared;
    if (!compared) return [];
    const { run, before, figures, lines } = compared;
    if (!figures) return [element("p", { class: "small" }, `${run} and ${before} are not compared: ${lines[0]}.`)];
    const { total, both, only_before: old, only_now: now, p } = figures;
    const better = old > now ? before : run;
    const verdict = p < 0.05 ? `${better} is better: chance alone would seldom do this` : "Chance alone could make this difference";
    return [
      element("h2", { class: "heading" }, `${run} against ${before}`),
      element(
        "p",
        {},
        `Of ${total.toLocaleString("en")} pictures that both answered without having learnt from them, ${run} has ${(both + now).toLocaleString("en")} right, ${now} of them alone, and ${before} ${(both + old).toLocaleString("en")}, ${old} of them alone. `,
        element("strong", {}, now || old ? verdict : "There is no difference"),
        ` (McNemar's exact test, p ${p < 0.0001 ? "< 0.0001" : `= ${p.toFixed(4)}`}).`,
      ),
    ];
  }

  label() {
    return false;
  }

  accept() {}
  remove() {}
  clear() {}

  key() {
    return false;
  }
}

// What was started last. Its parts stay, so that the focus does.
class JobCard {
  constructor() {
    this.title = element("h2");
    this.words = element("p", { class: "small" });
    this.bar = element("progress", { "aria-label": "Steps done" });
    this.stop = button("Stop", () => this.#stop());
    this.watch = element("a", { class: "button" }, "Watch");
    this.said = element("pre", { tabindex: "0" });
    this.element = element(
      "article",
      { class: "sheet job", hidden: true },
      this.title,
      this.bar,
      this.words,
      element("p", { class: "buttons" }, this.stop, this.watch),
      element("details", {}, element("summary", {}, "What it says"), this.said),
    );
  }

  draw(job) {
    this.element.hidden = !job;
    if (!job) return;
    const isRunning = job.state === "running";
    if (this.title.textContent !== told(job)) this.title.textContent = told(job);
    this.element.classList.toggle("failed", job.state === "failed");
    this.bar.hidden = !isRunning || !job.total;
    this.bar.max = job.total || 1;
    this.bar.value = job.done || 0;
    const left = job.seconds_left ? `, about ${clock(job.seconds_left)} to go` : "";
    this.words.textContent = job.reason || `${clock(job.seconds)}${left}${isRunning && job.kind !== "export" ? ". You can close this page; it goes on." : ""}`;
    this.stop.hidden = !isRunning;
    this.stop.textContent = job.kind === "export" ? "Stop" : "Stop and keep the best so far";
    this.watch.hidden = !["full", "resume"].includes(job.kind) || !isRunning;
    this.watch.href = watched(job.run);
    this.said.textContent = job.said.join("\n");
  }

  async #stop() {
    this.stop.disabled = true;
    await post("training/stop").catch((error) => say(error.message, true));
    this.stop.disabled = false;
  }
}

// What happens, or has happened, in a few words.
function told({ kind, run, form, state }) {
  const what = { quick: "Saving this model", export: `${TITLES[form]} of ${run}` }[kind] ?? `Training ${run}`;
  const done = { quick: `${run} is saved`, export: `${TITLES[form]} of ${run} is written` }[kind] ?? `${run} is trained`;
  return { running: `${what} …`, done, stopped: `${what}: stopped`, failed: `${what} has failed` }[state];
}

const watched = (name) => `/watch?run=${encodeURIComponent(name)}`;
const address = (name, form) => `${store.base}/api/training/${encodeURIComponent(name)}/${form}`;

function clock(seconds) {
  const rest = Math.round(seconds) % 60;
  return `${Math.floor(Math.round(seconds) / 60)}:${String(rest).padStart(2, "0")}`;
}

function button(text, act, kind = "", { key, ...attributes } = {}) {
  return element("button", { class: `button ${kind}`, type: "button", onclick: act, "data-key": key, ...attributes }, text);
}

function link(text, href, kind = "", attributes = {}) {
  return element("a", { class: `button ${kind}`, href, ...attributes }, text);
}
