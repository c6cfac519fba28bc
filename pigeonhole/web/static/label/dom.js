// Small means of building the page.

// An element with attributes, listeners ("onclick") and children. `hidden: false` and null are left out.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

// A place in the proportions of a picture, there before that is loaded, so that nothing moves.
export function frame(picture, image) {
  const made = element("div", { class: "frame" }, image);
  made.style.aspectRatio = `${picture.width} / ${picture.height}`;
  return made;
}

export function counted(count, one, many) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

// "97.1 %"; no rounding up to certainty.
export function percent(share) {
  return share < 1 - 1e-9 ? `${Math.min(100 * share, 99.9).toFixed(1)} %` : "100 %";
}

// Tells a screen reader, and shows for a moment, what has happened.
export function say(text, isProblem = false) {
  const place = document.getElementById("said");
  place.textContent = text;
  place.classList.toggle("problem", isProblem);
  place.classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => place.classList.remove("shown"), isProblem ? 8000 : 2500);
}
