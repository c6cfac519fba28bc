// The keys, which act anywhere but in a field. They can be switched off for those who speak to their computer.
const OFF = "pigeonhole-keys-off";
const OTHERS = "dialog:modal:not(#picture)"; // in which keys do what they do everywhere
const NUMBERS = "123456789";

export function listenToKeys(acts) {
  const box = document.getElementById("keys-on");
  box.checked = !localStorage.getItem(OFF);
  box.addEventListener("change", () => {
    if (box.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  });

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || isField(event.target) || document.querySelector(OTHERS)) return;
    const control = event.ctrlKey || event.metaKey;
    if (control && event.key.toLowerCase() === "z") return act(event, event.shiftKey ? acts.redo : acts.undo);
    if (control && event.key !== "a") return undefined;
    if (event.altKey) return undefined;
    if (control || event.key.startsWith("Arrow")) return act(event, acts.other);
    if (!box.checked) return undefined;
    return single(event, acts);
  });
}

function single(event, acts) {
  const { key } = event;
  if (NUMBERS.includes(key)) return act(event, () => acts.class(NUMBERS.indexOf(key)));
  // Space and Enter press the button that has the focus; Space elsewhere accepts what is proposed.
  const isPressed = event.target.closest("button, a, summary, [role=option]") && key === "Enter";
  if (isPressed) return undefined;
  const named = {
    " ": acts.accept,
    x: acts.remove,
    Delete: acts.clear,
    Backspace: acts.clear,
    n: acts.name,
    r: acts.rename,
    "/": acts.name,
    z: acts.undo,
    Z: acts.redo,
    "?": acts.help,
  };
  if (key === " " && event.target.closest("button, a, summary") && !event.target.closest(".tile, .accept")) return undefined;
  if (named[key]) return act(event, named[key]);
  return act(event, acts.other);
}

function act(event, what) {
  if (what(event) !== false) event.preventDefault();
}

function isField(target) {
  const field = target.closest?.("input, textarea, select");
  return Boolean(field) && field.type !== "checkbox";
}
