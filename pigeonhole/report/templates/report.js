// Everything can be read without this: it turns the long rows of filters into one with a choice, shows pictures
// of the map under the pointer, and marks in the contents what is being read.
for (const group of document.querySelectorAll(".channels")) {
  const channels = [...group.querySelectorAll(".channel")];
  const select = document.createElement("select");
  channels.forEach((channel, index) => select.add(new Option(channel.dataset.name, index)));
  const show = () => channels.forEach((channel, index) => { channel.hidden = index !== Number(select.value); });
  select.addEventListener("change", show);
  const label = document.createElement("label");
  label.className = "choice";
  label.append(group.dataset.label + " ", select);
  group.before(label);
  group.removeAttribute("tabindex");
  show();
}
for (const sheet of document.querySelectorAll(".map > img")) {
  const map = sheet.parentNode;
  for (const title of map.querySelectorAll("title")) {
    title.parentNode.dataset.name = title.textContent; // shown below, instead of the browser's own hint
    title.remove();
  }
  const shown = map.appendChild(document.createElement("div"));
  shown.className = "shown";
  shown.style.display = "none";
  const picture = shown.appendChild(document.createElement("canvas"));
  const words = shown.appendChild(document.createElement("span"));
  picture.width = picture.height = 96;
  map.addEventListener("pointerover", ({ target }) => {
    const at = target.dataset?.at;
    shown.style.display = at === undefined ? "none" : "";
    if (at === undefined) return;
    const { columns } = sheet.dataset;
    const side = sheet.naturalWidth / columns;
    const place = [(at % columns) * side, Math.floor(at / columns) * side, side, side];
    picture.getContext("2d").drawImage(sheet, ...place, 0, 0, picture.width, picture.height);
    words.textContent = target.dataset.name;
    const [frame, mark] = [map.getBoundingClientRect(), target.getBoundingClientRect()];
    const left = mark.right - frame.left + 6;
    shown.style.left = `${Math.max(0, left + 230 > frame.width ? mark.left - frame.left - shown.offsetWidth - 6 : left)}px`;
    shown.style.top = `${Math.max(0, mark.top - frame.top - 60)}px`;
  });
  map.addEventListener("pointerleave", () => { shown.style.display = "none"; });
}
const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
const watch = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const link = links.get(entry.target.id);
    if (entry.isIntersecting) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}, { rootMargin: "-20% 0px -70% 0px" });
for (const id of links.keys()) watch.observe(document.getElementById(id));
