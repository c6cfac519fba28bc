// Sends each chosen, dropped, pasted or photographed picture through the page's own form, and takes the answer
// out of the page that comes back: without this script the same form shows the same answers.
"use strict";

const MOST_KEPT = 50;
const THUMBNAIL_SIDE = 288;

const form = document.querySelector("form.ask");
const drop = form.querySelector(".drop");
const visit = document.querySelector(".visit");
const answers = visit.querySelector(".answers");
const status = visit.querySelector(".status");

let sending = Promise.resolve();

document.documentElement.classList.add("script");
recall();

for (const input of form.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => {
    take(input.files);
    input.value = "";
  });
}

document.addEventListener("paste", (event) => take(event.clipboardData.files));

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    if (kind === "drop" || !event.relatedTarget) drop.classList.remove("over");
  });
}
document.addEventListener("drop", (event) => take(event.dataTransfer.files));

document.getElementById("forget").addEventListener("click", () => {
  answers.replaceChildren();
  remember();
  document.getElementById("pictures").focus();
});

function take(files) {
  for (const file of [...files]) {
    const place = answers.insertBefore(document.createElement("li"), answers.firstChild);
    place.append(note(file.name, "…"));
    visit.hidden = false;
    sending = sending.then(() => ask(file, place));
  }
}

async function ask(file, place, heatmap = false) {
  let article;
  try {
    article = await answerFor(file, heatmap);
  } catch (error) {
    if (heatmap) {
      place.querySelector(".heat").textContent = error.message;
      return;
    }
    article = note(file.name, error.message);
  }
  place.replaceChildren(article);
  if (article.classList.contains("answer") && !article.classList.contains("refused")) {
    await showThumbnail(article.querySelector(".thumbnail"), file);
  }
  article.querySelector(".heat")?.addEventListener("click", ({ target }) => {
    target.disabled = true;
    target.textContent = "Looking …";
    sending = sending.then(() => ask(file, place, true));
  });
  status.textContent = `${file.name}: ${article.querySelector("h3").innerText}`;
  remember();
}

async function answerFor(file, heatmap) {
  if (file.size > Number(form.dataset.mostBytes)) throw new Error("The file is too large for this server.");
  const body = new FormData();
  body.append("pictures", file, file.name);
  const chosen = form.querySelector("[name=model]");
  if (chosen) body.append("model", chosen.value);
  if (heatmap) body.append("heatmap", "1");
  const response = await fetch(form.action, { method: "POST", body }).catch(() => {
    throw new Error("The server cannot be reached.");
  });
  if (response.status === 503 && response.headers.has("Retry-After")) {
    await new Promise((resolve) => setTimeout(resolve, 1000 * Number(response.headers.get("Retry-After"))));
    return answerFor(file, heatmap);
  }
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const article = page.querySelector("article.answer");
  if (!article) throw new Error(page.querySelector("main .lead")?.textContent ?? `Status ${response.status}`);
  return document.importNode(article, true);
}

// The browser's own rendering of the file; where it cannot show the format, what the network saw stays.
async function showThumbnail(image, file) {
  const address = URL.createObjectURL(file);
  const picture = new Image();
  picture.src = address;
  try {
    await picture.decode();
    const scale = Math.min(1, THUMBNAIL_SIDE / Math.max(picture.naturalWidth, picture.naturalHeight));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(scale * picture.naturalWidth));
    canvas.height = Math.max(1, Math.round(scale * picture.naturalHeight));
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    image.src = canvas.toDataURL("image/jpeg", 0.85);
    await image.decode();
  } catch {
    // Nothing to do: the picture that the server sent is shown already.
  } finally {
    URL.revokeObjectURL(address);
  }
}

function note(name, text) {
  const article = document.createElement("article");
  article.className = text === "…" ? "answer waiting" : "answer refused";
  const figure = article.appendChild(document.createElement("figure"));
  const blank = figure.appendChild(document.createElement("span"));
  blank.className = "thumbnail none";
  blank.ariaHidden = "true";
  blank.textContent = text === "…" ? "…" : "?";
  const words = article.appendChild(document.createElement("div"));
  words.appendChild(document.createElement("h3")).textContent = text === "…" ? "Asking" : "Not answered";
  words.appendChild(document.createElement("p")).textContent = text === "…" ? name : `${name}: ${text}`;
  return article;
}

// The answers of this visit outlive a look at another page; they never leave this browser.
function remember() {
  while (answers.children.length > MOST_KEPT) answers.lastChild.remove();
  visit.hidden = !answers.children.length;
  try {
    sessionStorage.setItem("answers", answers.innerHTML);
  } catch {
    sessionStorage.removeItem("answers");
  }
}

function recall() {
  answers.innerHTML = sessionStorage.getItem("answers") ?? "";
  for (const unanswered of answers.querySelectorAll(".waiting")) unanswered.closest("li").remove();
  for (const button of answers.querySelectorAll(".heat")) button.remove(); // its file is gone
  visit.hidden = !answers.children.length;
}
