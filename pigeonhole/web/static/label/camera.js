// Teach by camera: frames are recorded for a class while a button or a key is held, and what the camera sees is
// answered all the while.
import { Camera } from "../camera.js";
import { counted, element, percent, say } from "./dom.js";
import { calledNow, post, postFile, store } from "./store.js";

const FRAME = { longest: 640, quality: 0.92, pause: 120 }; // of a recording: pixels, and milliseconds between two
const SMALL = { shortest: 224, quality: 0.85, pause: 50 }; // of a live answer: as large as the network looks at it
const RETRY = 1000; // milliseconds until a server that gave no answer is asked again
const HOLD = 250; // milliseconds; a number that is pressed for less only chooses the class
const RATE = 3000; // milliseconds by which answers a second are counted
const QUIET = 1500; // milliseconds between two answers that are read aloud
const STRIP = 12; // frames shown
const FEW = 6; // classes that keep their place

export class CameraView {
  constructor() {
    this.chosen = null; // the name of a class
    this.recording = null; // { label, held, frames }
    this.times = []; // of the last answers
    this.said = { text: "", at: 0 };
    this.folder = document.querySelector('#views a[href="#camera"]').dataset.folder;
    this.#build();
    this.camera = new Camera(
      this.video,
      { answer: (bitmap) => this.#ask(bitmap), pause: SMALL.pause },
      (ranked) => this.#answer(ranked),
      (error) => this.#fail(error),
    );
    document.addEventListener("keydown", (event) => this.#down(event), true);
    document.addEventListener("keyup", (event) => this.#up(event), true);
    document.addEventListener("visibilitychange", () => document.hidden && this.#end());
    addEventListener("blur", () => this.#end());
    addEventListener("hashchange", () => setTimeout(() => this.isHere || this.stop())); // once the view has changed
    addEventListener("pagehide", () => this.stop());
  }

  #build() {
    this.video = element("video", { muted: true, playsinline: true, "aria-label": "What the camera sees" });
    this.video.muted = true; // the attribute counts for what is parsed only
    this.trouble = element("p", { class: "trouble", role: "alert", hidden: true });
    this.use = element("button", { class: "button primary", type: "button", onclick: () => this.#use() }, "Use the camera");
    this.start = element("div", { class: "start" }, [
      element("h2", {}, "Teach by camera"),
      element("p", { class: "lead" }, "Show the camera an example, record some frames for its class, then another class: the model answers at once."),
      element("p", {}, "Frames are saved as new files in ", element("code", {}, this.folder), ", with their labels. Nothing that is there is changed, and nothing leaves this computer."),
      this.use,
    ]);
    this.turn = element("button", { class: "plain-button", type: "button", hidden: true, onclick: () => this.#begin(() => this.camera.turn()) }, "Other camera");
    this.off = element("button", { class: "plain-button", type: "button", onclick: () => this.stop() }, "Stop the camera");
    this.record = element("button", {
      class: "button primary record",
      type: "button",
      onpointerdown: (event) => this.#hold(event),
      onpointerup: () => this.#end(),
      onpointercancel: () => this.#end(),
      onlostpointercapture: () => this.#end(),
      oncontextmenu: (event) => event.preventDefault(),
      onclick: (event) => event.detail === 0 && this.#toggle(), // as assistive technology presses it
    });
    this.bars = element("table", { class: "bars", "aria-label": "Classes and their probabilities" }, element("tbody"));
    this.verdict = element("p", { class: "verdict" });
    this.rate = element("p", { class: "small rate" });
    this.aloud = element("p", { class: "unseen", role: "status" });
    this.strip = element("ol", { class: "strip", "aria-label": "Frames recorded last" });
    this.live = element("div", { class: "live", hidden: true }, [
      element("div", { class: "sight" }, this.video, element("div", { class: "tools" }, this.turn, this.off)),
      element("div", { class: "answering" }, this.verdict, this.bars, this.rate, this.aloud),
      element("div", { class: "teaching" }, [
        this.record,
        element("p", { class: "small keys" }, "Hold the button, space or the number of a class."),
        element("p", { class: "small" }, "One recording counts as one picture in the accuracy: make several of each class, from several sides."),
      ]),
      this.strip,
    ]);
    this.element = element("section", { class: "teach", "aria-label": "Teach by camera" }, this.trouble, this.start, this.live);
  }

  get isHere() {
    return document.body.dataset.view === "camera";
  }

  enter() {
    this.update(store.state);
  }

  update({ classes }) {
    if (this.wanted && classes.some(({ name }) => name === this.wanted)) this.#choose(this.wanted);
    if (this.chosen) this.chosen = calledNow(this.chosen);
    if (!classes.some(({ name }) => name === this.chosen)) this.chosen = classes[0]?.name ?? null;
    this.#words();
  }

  // A class is chosen in the panel; one that is typed anew is added there first.
  label(name) {
    const known = store.state.classes.some((each) => each.name === name);
    if (known) this.#choose(name);
    else this.wanted = name;
    return known;
  }

  accept() {}

  remove() {}

  clear() {}

  key() {
    return false;
  }

  stop() {
    this.#end();
    this.camera.stop();
    this.live.hidden = true;
    this.start.hidden = false;
    this.use.disabled = false;
  }

  #choose(name) {
    this.wanted = null;
    if (this.recording?.held && this.recording.label !== name) this.#end();
    this.chosen = name;
    this.#words();
  }

  async #use() {
    this.use.disabled = true;
    await this.#begin(() => this.camera.start());
    if (this.camera.isOn) this.record.focus();
  }

  async #begin(start) {
    this.trouble.hidden = true;
    try {
      await start();
    } catch (error) {
      return this.#fail(error);
    }
    if (!this.camera.isOn) return undefined;
    if (!this.isHere) return this.stop();
    this.start.hidden = true;
    this.live.hidden = false;
    this.#words();
    const devices = await navigator.mediaDevices.enumerateDevices();
    this.turn.hidden = devices.filter(({ kind }) => kind === "videoinput").length < 2;
    return undefined;
  }

  #fail(error) {
    this.stop();
    this.trouble.textContent = `The camera cannot be used: ${error.message}.`;
    this.trouble.hidden = false;
  }

  // Live answers

  async #ask(bitmap) {
    const side = Math.min(bitmap.width, bitmap.height);
    const jpeg = await drawn(bitmap, Math.min(1, SMALL.shortest / side), SMALL.quality);
    try {
      return (await postFile("camera/answers", jpeg)).ranked;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, RETRY));
      return null;
    }
  }

  #answer(ranked) {
    const now = performance.now();
    this.times = [...this.times.filter((time) => now - time < RATE), now];
    const [first] = this.times;
    const rate = this.times.length > 2 ? ((this.times.length - 1) * 1000) / (now - first) : 0;
    this.live.dataset.rate = rate.toFixed(1);
    if (ranked === null) return this.#tell("The server gives no answer; asking again.", [], "");
    if (!ranked.length) return this.#tell("Record frames of two classes, and what the camera sees is answered here.", [], "");
    const [{ name, probability }] = ranked;
    if (name !== this.said.text && now - this.said.at > QUIET) {
      this.said = { text: name, at: now };
      this.aloud.textContent = name;
    }
    return this.#tell(`${name} ${percent(probability)}`, ranked, rate ? `${rate.toFixed(0)} answers a second` : "");
  }

  #tell(verdict, ranked, rate) {
    this.verdict.textContent = verdict;
    this.verdict.classList.toggle("small", !ranked.length);
    this.rate.textContent = rate;
    const best = ranked[0]?.name;
    const shown = ranked.length > FEW - 1 ? ranked : this.#inOrder(ranked);
    const body = this.bars.tBodies[0];
    if (body.rows.length !== shown.length) body.replaceChildren(...shown.map(bar));
    shown.forEach(({ name, probability }, place) => fill(body.rows[place], name, probability, name === best));
  }

  #inOrder(ranked) {
    const place = new Map(store.state.classes.map(({ name }, number) => [name, number]));
    return [...ranked].sort((one, other) => place.get(one.name) - place.get(other.name));
  }

  // Recording

  #words() {
    const { recording, chosen } = this;
    this.record.disabled = !chosen;
    this.record.classList.toggle("going", Boolean(recording));
    const key = element("kbd", {}, "space");
    if (recording) this.record.replaceChildren(`${recording.label}: ${counted(recording.frames, "frame", "frames")}`);
    else if (chosen) this.record.replaceChildren(`Hold to record ${chosen}`, key);
    else this.record.replaceChildren("Name a class first");
  }

  #hold(event) {
    if (event.button !== 0) return;
    this.record.setPointerCapture(event.pointerId);
    this.#run(this.chosen);
  }

  #toggle() {
    if (this.recording?.held) this.#end();
    else this.#run(this.chosen);
  }

  #end() {
    clearTimeout(this.holding);
    if (this.recording) this.recording.held = false;
  }

  async #run(label) {
    if (!label || this.recording || !this.camera.isOn) return;
    const recording = { label, held: true, frames: 0 };
    this.recording = recording;
    this.#words();
    try {
      const { recording: name } = await post("camera/recordings", { label });
      do {
        const next = new Promise((resolve) => setTimeout(resolve, FRAME.pause));
        await this.#frame(name, recording);
        await next;
      } while (recording.held && this.camera.isOn);
      say(`${counted(recording.frames, "frame", "frames")} of ${label}`);
    } catch (error) {
      say(`Not recorded. ${error.message}`, true);
    } finally {
      this.recording = null;
      this.#words();
    }
  }

  async #frame(name, recording) {
    const bitmap = await this.camera.picture();
    const side = Math.max(bitmap.width, bitmap.height);
    const jpeg = await drawn(bitmap, Math.min(1, FRAME.longest / side), FRAME.quality);
    recording.frames = (await postFile(`camera/recordings/${name}`, jpeg)).frames;
    this.#words();
    const shown = element("img", { alt: `Frame of ${recording.label}`, src: URL.createObjectURL(jpeg) });
    this.strip.append(element("li", {}, element("div", { class: "tile decided" }, shown, element("span", { class: "badge" }, recording.label))));
    while (this.strip.children.length > STRIP) {
      URL.revokeObjectURL(this.strip.firstChild.querySelector("img").src);
      this.strip.firstChild.remove();
    }
  }

  // The keys: space, and the number of a class, as long as they are held

  #down(event) {
    const place = "123456789".indexOf(event.key);
    if (!this.#isMine(event) || (event.key !== " " && place < 0)) return;
    const name = place < 0 ? this.chosen : store.state.classes[place]?.name;
    if (event.key === " " && event.target.closest("button, a, summary") && event.target !== this.record) return;
    event.preventDefault();
    if (event.repeat || !name) return;
    this.heldKey = event.key;
    if (place < 0) return void this.#run(name);
    this.#choose(name);
    clearTimeout(this.holding);
    this.holding = setTimeout(() => this.#run(name), HOLD);
  }

  #up(event) {
    if (event.key !== this.heldKey) return;
    this.heldKey = null;
    if (this.isHere) event.preventDefault(); // space would press the button once more
    this.#end();
  }

  #isMine(event) {
    if (!this.isHere || !this.camera.isOn || event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.target.closest?.("input, textarea, select, dialog") || document.querySelector("dialog[open]")) return false;
    return document.getElementById("keys-on").checked || event.target === this.record;
  }
}

// The bitmap, which it frees, as a JPEG file of so much of its size.
async function drawn(bitmap, scale, quality) {
  const canvas = new OffscreenCanvas(Math.round(scale * bitmap.width), Math.round(scale * bitmap.height));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.convertToBlob({ type: "image/jpeg", quality });
}

const SVG = "http://www.w3.org/2000/svg";

function bar() {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("width", "100%");
  drawing.setAttribute("height", "10");
  const filled = drawing.appendChild(document.createElementNS(SVG, "rect"));
  filled.setAttribute("height", "10");
  filled.setAttribute("rx", "2");
  const cell = element("td", { class: "bar", "aria-hidden": "true" });
  cell.append(drawing);
  return element("tr", {}, element("th", { scope: "row" }), cell, element("td"));
}

function fill(row, name, probability, isBest) {
  row.classList.toggle("best", isBest);
  row.cells[0].textContent = name;
  row.querySelector("rect").setAttribute("width", `${(100 * probability).toFixed(2)}%`);
  row.cells[2].textContent = percent(probability);
}
