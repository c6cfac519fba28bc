// Answers for chosen, dropped, pasted, photographed and live pictures, on the visitor's own device.
import { Camera } from "./camera.js";
import { answer, load, replayed } from "./engine.js";
import { refused, takePictures, thumbnail, waiting } from "./pictures.js";
import { decoded } from "./pixels.js";

const MOST_KEPT = 500;
const NAMED = 8; // classes
const QUIET = 1500; // milliseconds between two live answers that are read aloud

const element = (id) => document.getElementById(id);
const state = document.querySelector(".state");
const ask = document.querySelector(".ask");
const view = document.querySelector(".camera");
const status = document.querySelector(".status");
const visit = document.querySelector(".visit");
const answers = visit.querySelector(".answers");
const camera = new Camera(view.querySelector("video"), { answer, pause: 100 }, showLive, (error) => {
  stop();
  tellTrouble(error);
});

let description;
let asking = Promise.resolve();
let said = { text: "", at: 0 };
let kept = 0;

navigator.serviceWorker?.addEventListener("controllerchange", renew);
begin();

async function begin() {
  element("start").querySelector("p").remove(); // Something happens.
  try {
    description = await load((part) => (element("start").querySelector("progress").value = part));
    say(state, "Checking");
    await check();
  } catch (error) {
    element("start").hidden = true;
    say(state, "Failed");
    state.classList.add("stopped");
    find("This page does not answer", `${error.message}.`);
    return;
  }
  element("start").hidden = true;
  element("about").textContent = about(description.classes);
  ask.hidden = false;
  takePictures(ask, take);
  say(state, "Ready");
  await keepForLater();
}

function about(classes) {
  const more = classes.length > NAMED ? ` and ${classes.length - NAMED} more` : "";
  const names = classes.slice(0, NAMED).join(", ");
  return `Show a picture, and the model says which of its ${classes.length} classes it is: ${names}${more}.`;
}

// Throws where this browser computes or sees other than the model did when it was saved.
async function check() {
  const off = await replayed();
  if (!(off.answers <= description.probability_tolerance)) {
    throw new Error(`this browser computes otherwise: the model's golden examples get other probabilities,
      by up to ${off.answers.toPrecision(2)}`);
  }
  if (!(off.lossless <= description.pixel_tolerance)) {
    throw new Error(`this browser gives the page other pixels than the picture has, by up to ${off.lossless} of 255
      in the model's golden examples; a protection against fingerprinting does so`);
  }
  if (!(off.jpeg <= description.pixel_tolerance)) {
    find(
      "This browser decodes JPEG in its own way",
      `in the model's golden examples, pixels differ by up to ${off.jpeg} of 255. Answers to JPEG files may differ
      slightly from those on the computer that the model comes from.`,
    );
  }
}

async function keepForLater() {
  if (!navigator.serviceWorker) return;
  try {
    await navigator.serviceWorker.register("sw.js");
    await navigator.serviceWorker.ready;
    say(state, "Ready, offline too");
  } catch {
    // The host or the browser does not allow it; online, nothing is missing.
  }
}

// Another export is kept now, and this page is of the earlier one.
function renew() {
  if (visit.hidden && view.hidden) location.reload();
  else find("A newer model is here", "reload the page to ask it.");
}

function take(files) {
  for (const file of [...files]) enqueue(file.name, () => decoded(file));
}

// Puts a picture into the row; `open` gives its bitmap.
function enqueue(name, open) {
  const place = answers.insertBefore(document.createElement("li"), answers.firstChild);
  place.append(waiting(name));
  while (answers.children.length > MOST_KEPT) answers.lastChild.remove();
  visit.hidden = false;
  asking = asking.then(async () => {
    if (!place.isConnected) return; // cleared
    const article = await answered(name, open);
    place.replaceChildren(article);
    say(status, `${name}: ${article.querySelector("h3").innerText}`);
  });
}

async function answered(name, open) {
  const image = make("img", "thumbnail");
  image.alt = name;
  let bitmap;
  try {
    bitmap = await open();
    image.src = thumbnail(bitmap, bitmap.width, bitmap.height);
  } catch {
    return refused(name, "this browser cannot decode it, or it is not a picture.");
  }
  try {
    return article(await answer(bitmap), image, name);
  } catch (error) {
    return refused(name, `${error.message}.`);
  }
}

// An answer as the web app shows it; `image` and `name` are left out of live ones.
function article(result, image = null, name = "") {
  const { ranked, doubt, width, height, milliseconds } = result;
  const [best, second] = ranked;
  const whole = make("article", doubt === "stranger" ? "answer unsure" : "answer");
  if (image) whole.appendChild(make("figure")).append(image);
  const words = whole.appendChild(make("div"));
  const title = words.appendChild(make("h3"));
  if (doubt === "stranger") {
    title.append("Unsure ", make("span", "small", `perhaps none of the classes; nearest is ${best[0]}`));
  } else {
    title.append(`${best[0]} `, make("span", "share", percent(best[1])));
    if (doubt) title.append(" ", make("span", "small", `torn between ${best[0]} and ${second[0]}`));
  }
  const facts = words.appendChild(make("p", "small facts"));
  if (name) facts.append(make("span", "name", name), " ");
  facts.append(make("span", "", `${width} × ${height} × 3`), " ", make("span", "", `${milliseconds.toFixed(0)} ms`));
  words.append(bars(ranked.slice(0, description.top)));
  if (image && ranked.length > description.top) {
    const rest = words.appendChild(make("details"));
    rest.append(make("summary", "", `all ${ranked.length} classes`), bars(ranked.slice(description.top)));
  }
  return whole;
}

function bars(ranked) {
  const table = make("table", "bars");
  table.ariaLabel = "Classes and their probabilities, best first";
  for (const [name, share] of ranked) {
    const row = table.insertRow();
    const head = row.appendChild(make("th", "", name));
    head.scope = "row";
    const bar = row.appendChild(make("td", "bar"));
    bar.ariaHidden = "true";
    const drawn = bar.appendChild(drawing("svg", { width: "100%", height: 10 }));
    drawn.append(drawing("rect", { width: `${(100 * share).toFixed(3)}%`, height: 10, rx: 2 }));
    const value = row.insertCell().appendChild(make("data", "", percent(share)));
    value.value = share;
  }
  return table;
}

// As the web app writes it: no rounding up to certainty.
function percent(share) {
  return share < 1 ? `${Math.min(100 * share, 99.9).toFixed(1)} %` : "100 %";
}

function make(tag, kind = "", text = "") {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.textContent = text;
  return made;
}

function drawing(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

// Tells a finding in the page and to screen readers.
function find(title, text, place = element("findings")) {
  const finding = place.appendChild(make("p", "finding"));
  finding.role = "alert";
  finding.append(make("strong", "", `${title}: `), text);
}

function tellTrouble(error) {
  find("The camera cannot be used", `${error.message}.`, element("trouble"));
}

element("forget").addEventListener("click", () => {
  answers.replaceChildren();
  visit.hidden = true;
  element("pictures").focus();
});

element("watch").addEventListener("click", () => use(() => camera.start()));
element("turn").addEventListener("click", () => use(() => camera.turn()));
element("stop").addEventListener("click", stop);
addEventListener("pagehide", stop);
element("keep").addEventListener("click", () => {
  const taken = camera.picture(); // what is seen now, whenever it is answered
  taken.catch(() => {}); // It is told then.
  enqueue(`camera ${++kept}`, () => taken);
});

async function use(start) {
  element("trouble").replaceChildren();
  element("watch").disabled = element("turn").disabled = true;
  try {
    await start();
  } catch (error) {
    tellTrouble(error);
  }
  view.hidden = !camera.isOn;
  element("turn").disabled = false;
  element("watch").disabled = camera.isOn;
  if (!camera.isOn) return;
  const devices = await navigator.mediaDevices.enumerateDevices();
  element("turn").hidden = devices.filter(({ kind }) => kind === "videoinput").length < 2;
  element("keep").focus();
}

function stop() {
  camera.stop(); // also one that is about to start
  if (view.hidden) return;
  view.hidden = true;
  element("answer").replaceChildren();
  element("watch").disabled = false;
  element("watch").focus();
}

function showLive(result) {
  const shown = article(result);
  element("answer").replaceChildren(shown);
  const text = result.doubt === "stranger" ? "Unsure" : result.ranked[0][0];
  if (text !== said.text && performance.now() - said.at > QUIET) {
    said = { text, at: performance.now() };
    say(status, `Camera: ${text}`);
  }
}
