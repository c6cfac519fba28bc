// Everything can be read without this: it turns the long rows of filters into one with a choice,
// and marks in the contents what is being read.
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
const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
const watch = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const link = links.get(entry.target.id);
    if (entry.isIntersecting) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}, { rootMargin: "-20% 0px -70% 0px" });
for (const id of links.keys()) watch.observe(document.getElementById(id));
