// What the web app's page and the exported page share: taking pictures, and showing those that are not answered.

const THUMBNAIL_SIDE = 288;

// Calls `take(files)` for pictures that are chosen in `ask`, dropped anywhere or pasted.
export function takePictures(ask, take) {
  const drop = ask.querySelector(".drop");
  for (const input of ask.querySelectorAll("input[type=file]")) {
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
}

// A picture of `width` x `height` pixels, which a canvas can draw, as a small JPEG on white in a data URI.
export function thumbnail(picture, width, height) {
  const scale = Math.min(1, THUMBNAIL_SIDE / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(scale * width));
  canvas.height = Math.max(1, Math.round(scale * height));
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.85);
}

// The place of an answer that is waited for.
export function waiting(name) {
  return note("answer waiting", "…", "Asking", name);
}

// Why there is no answer.
export function refused(name, reason) {
  return note("answer refused", "?", "Not answered", `${name}: ${reason}`);
}

function note(kind, sign, title, text) {
  const article = document.createElement("article");
  article.className = kind;
  const figure = article.appendChild(document.createElement("figure"));
  const blank = figure.appendChild(document.createElement("span"));
  blank.className = "thumbnail none";
  blank.ariaHidden = "true";
  blank.textContent = sign;
  const words = article.appendChild(document.createElement("div"));
  words.appendChild(document.createElement("h3")).textContent = title;
  words.appendChild(document.createElement("p")).textContent = text;
  return article;
}
