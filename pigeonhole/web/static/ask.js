// Sends each chosen, dropped, pasted or photographed picture through the page's own form, and takes the answer
// out of the page that comes back: without this script the same form shows the same answers.
import { refused, takePictures, thumbnail, waiting } from "./pictures.js";

const MOST_KEPT = 50;

const form = document.querySelector("form.ask");
const visit = document.querySelector(".visit");
const answers = visit.querySelector(".answers");
const status = visit.querySelector(".status");

let sending = Promise.resolve();

document.documentElement.classList.add("script");
recall();

takePictures(form, take);

document.getElementById("forget").addEventListener("click", () => {
  answers.replaceChildren();
  remember();
  document.getElementById("pictures").focus();
});

function take(files) {
  for (const file of [...files]) {
    const place = answers.insertBefore(document.createElement("li"), answers.firstChild);
    place.append(waiting(file.name));
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
    article = refused(file.name, error.message);
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
    image.src = thumbnail(picture, picture.naturalWidth, picture.naturalHeight);
    await image.decode();
  } catch {
    // Nothing to do: the picture that the server sent is shown already.
  } finally {
    URL.revokeObjectURL(address);
  }
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
