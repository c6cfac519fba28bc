// Training from the page: what is started, how far it is, and the runs that have come of it.
import { counted, element, percent, say } from "./dom.js";
import { FORMS, JobCard, told, watched } from "./job.js";
import { get, post, store } from "./store.js";

const POLL = { running: 1000, idle: 5000 }; // milliseconds

export class Train {
  constructor() {
    this.minutes = element("input", {
      id: "minutes", type: "number", min: "0.5", max: "10000", step: "0.5", placeholder: "as needed",
    });
    this.quick = button("Save this model", () => this.#start({ quick: true }), "primary");
    this.full = button("Train in full", () => this.#start({ minutes: Number(this.minutes.value) || null }));
    this.why = element("p", { class: "small", hidden: true });
    this.trouble = element("p", { class: "trouble", role: "alert", hidden: true });
    this.job = new JobCard();
    this.compared = element("section", { class: "compared", "aria-label": "Compared", hidden: true });
    this.runs = element("ul", { class: "runs" });
    this.none = element("p", { class: "small" }, "None yet.");
    this.kept = element("p", { class: "small" }, "They lie in ", element("code"), ". To take one along: the bundle is for Pigeonhole on another computer, the web page for browsers and phones, ONNX for programs.");
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
          element("p", {}, "A model like the one that learns along is fitted to all labels so far, and saved with its accuracy and a report. It can be asked after some seconds."),
          element("p", { class: "buttons" }, this.quick),
        ),
        element(
          "article",
          { class: "sheet" },
          element("h2", {}, "Train in full"),
          element("p", {}, "The same, then other networks are trained for some minutes, and what does better is kept. You can label meanwhile; those labels are for the next training."),
          element("p", { class: "buttons" }, element("label", { for: "minutes" }, "Minutes "), this.minutes, this.full),
        ),
      ),
      this.why,
      this.trouble,
      this.job.element,
      this.compared,
      element("h2", { class: "heading" }, "Models of these pictures"),
      this.none,
      this.kept,
      this.runs,
    );
  }

  enter() {
    clearTimeout(this.timer);
    this.#poll();
  }

  update({ classes }) {
    const isRunning = this.state?.job?.state === "running";
    const lacking = whatIsLacking(classes);
    this.quick.disabled = this.full.disabled = Boolean(lacking) || isRunning;
    this.why.hidden = !lacking;
    this.why.textContent = lacking;
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
    this.job.draw(state.job, state.runs.some(({ name, asked }) => asked && name === state.job?.run));
    if (before?.state === "running" && state.job.state !== "running") this.#ended(state.job);
    this.#draw("compared", this.compared, state.compared, () => this.#comparison(state.compared));
    const isRunning = state.job?.state === "running";
    this.#draw("runs", this.runs, [state.runs, isRunning], () => state.runs.map((run) => this.#run(run, isRunning)));
    if (state.runs.some(({ asked }) => asked)) offerAsking();
    this.none.hidden = state.runs.length > 0;
    this.kept.hidden = !this.none.hidden;
    this.kept.querySelector("code").textContent = state.folder;
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
    this.trouble.hidden = true;
    try {
      this.#take(await post(`training/${path}`, body));
      this.job.element.scrollIntoView({ block: "nearest" });
      this.enter();
    } catch (error) {
      this.trouble.textContent = error.message;
      this.trouble.hidden = false;
      this.trouble.scrollIntoView({ block: "nearest" });
    }
  }

  #start(body) {
    this.#ask("start", body);
  }

  #run(run, isRunning) {
    const { name, state, has_model: hasModel } = run;
    const judged = judgement(run);
    const words = { training: "training", stopped: "stopped before its end" }[state];
    return element(
      "li",
      { class: "sheet" },
      element("h3", {}, name, words ? element("span", { class: "small" }, ` ${words}`) : null),
      element("p", { class: "small" }, judged ?? (hasModel ? "not judged yet" : "no model yet")),
      element(
        "p",
        { class: "buttons" },
        run.asked ? link("Ask it", `/?model=${encodeURIComponent(name)}`) : null,
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
    const heading = element("h2", { class: "heading" }, `${run} against ${before}`);
    const judged = `Of ${total.toLocaleString("en")} pictures that both answered without having learnt from them,`;
    if (!now && !old) return [heading, element("p", {}, `${judged} both have the same ${both.toLocaleString("en")} right.`)];
    const better = old > now ? before : run;
    const verdict = p < 0.05 ? `${better} is better: chance alone would seldom do this` : "Chance alone could make this difference";
    return [
      heading,
      element(
        "p",
        {},
        `${judged} ${run} has ${(both + now).toLocaleString("en")} right, ${now} of them alone, and ${before} ${(both + old).toLocaleString("en")}, ${old} of them alone. `,
        element("strong", {}, verdict),
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

const address = (name, form) => `${store.base}/api/training/${encodeURIComponent(name)}/${form}`;

function button(text, act, kind = "", { key, ...attributes } = {}) {
  return element("button", { class: `button ${kind}`, type: "button", onclick: act, "data-key": key, ...attributes }, text);
}

function link(text, href, kind = "", attributes = {}) {
  return element("a", { class: `button ${kind}`, href, ...attributes }, text);
}

// The page may have been loaded before there was a model to be asked.
function offerAsking() {
  const pages = document.querySelector("header nav");
  if (!pages.querySelector('a[href="/"]')) pages.firstElementChild.after(element("a", { href: "/" }, "Ask"));
}

// Why nothing can be trained yet; empty if it can.
function whatIsLacking(classes) {
  const present = classes.filter(({ count }) => count > 0);
  if (present.length < 2) return "Label pictures of two classes first.";
  const single = present.filter(({ count }) => count === 1).map(({ name }) => name);
  if (!single.length) return "";
  return `Of ${single.join(", ")} only one picture has a label. Label another one, or take that label away.`;
}

// How good a run is, and by which pictures; null where it does not say.
function judgement({ accuracy, out_of_fold: isOutOfFold }) {
  if (!accuracy) return null;
  const [value, low, high, total] = accuracy;
  const pictures = counted(total, "labelled picture", "labelled pictures");
  const by = isOutOfFold ? `of the ${pictures} are right, each answered without having learnt from it` : `right, by ${pictures} that it did not learn from`;
  return `${percent(value)} ${by}; 95 % interval ${percent(low)} to ${percent(high)}`;
}
