// What the page knows: the state that the server tells, details of pictures, and the requests.
import { say } from "./dom.js";

const BASE = document.body.dataset.base;
const TOKEN = document.body.dataset.token;
const POLL = { busy: 400, idle: 1500, hidden: 5000 }; // milliseconds
const MOST_AT_ONCE = 400; // pictures asked for in one request
const MOST_KNOWN = 20_000; // pictures whose details are kept: those that were seen last
const RETRIES = [300, 1000, 2000, 4000, 8000]; // milliseconds before a request that failed is sent again

export const REMOVED = "remove"; // what the server calls leaving a picture out; see `decide`

export const store = {
  state: null,
  base: BASE,
  known: new Map(), // id -> details
  before: {}, // class -> another name that it had in the state before, as `state.called`
};

const listeners = new Set();
const fetched = new Map(); // id -> the stamp of the state for which its details were fetched
const asked = new Map(); // id -> the stamp for which they are being fetched
let sending = Promise.resolve();

export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell() {
  for (const listener of [...listeners]) listener(store.state);
}

const stamp = () => `${store.state.version}`;

function take(state) {
  if (state.session !== TOKEN) return location.reload(); // the program was started again
  if (store.state && state.version < store.state.version) return; // an older answer that came later
  const text = JSON.stringify(state);
  if (text === store.text) return;
  store.text = text;
  store.before = store.state?.called ?? {};
  store.state = state;
  tell();
}

// The details of pictures as far as they are known; what is missing or old is fetched, and listeners are told.
export function details(ids) {
  const now = stamp();
  const wanted = ids.filter((id) => fetched.get(id) !== now && asked.get(id) !== now);
  for (let start = 0; start < wanted.length; start += MOST_AT_ONCE) {
    fetchDetails(wanted.slice(start, start + MOST_AT_ONCE), now);
  }
  return ids.map((id) => store.known.get(id));
}

async function fetchDetails(ids, now) {
  for (const id of ids) asked.set(id, now);
  try {
    const { pictures } = await get(`pictures?ids=${ids.join(",")}`);
    for (const picture of pictures) {
      hold(store.known, picture.id, picture);
      hold(fetched, picture.id, now);
    }
  } catch {
    return; // the next state has them fetched
  } finally {
    for (const id of ids) if (asked.get(id) === now) asked.delete(id);
  }
  tell();
}

// A map keeps the order in which its entries came.
function hold(map, id, value) {
  map.delete(id);
  map.set(id, value);
  if (map.size > MOST_KNOWN) map.delete(map.keys().next().value);
}

export async function get(path) {
  return answered(await fetch(`${BASE}/api/${path}`));
}

export async function post(path, body = {}) {
  return answered(
    await fetch(`${BASE}/api/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Session": TOKEN },
      body: JSON.stringify(body),
    }),
  );
}

// Sends a file as it is.
export async function postFile(path, file) {
  return answered(await fetch(`${BASE}/api/${path}`, { method: "POST", headers: { "X-Session": TOKEN }, body: file }));
}

async function answered(response) {
  const content = await response.json().catch(() => ({}));
  if (!response.ok) {
    const error = new Error(content.detail ?? `The server answers with status ${response.status}.`);
    error.status = response.status;
    throw error;
  }
  return content;
}

// Sends one request after the other, each until it has arrived: the server knows an action that comes twice.
function inTurn(path, body) {
  const job = sending.then(async () => {
    for (const pause of [...RETRIES, null]) {
      try {
        const answer = await post(path, body);
        take(answer.state);
        return answer;
      } catch (error) {
        const reason = error.status ? error.message : "The server cannot be reached.";
        if (pause === null || (error.status && error.status < 500)) {
          say(`Not saved. ${reason}`, true);
          get("state").then(({ state }) => take(state), () => {});
          throw error;
        }
        say(`${reason} Trying again …`, true);
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  });
  sending = job.catch(() => {});
  return job;
}

// Gives pictures a label: the name of a class, null for none (undecided again), or `remove: true`, left out.
// The promise is kept once the decision is on the disk.
export function decide(ids, label, { source = "page", remove = false } = {}) {
  const action = name();
  for (const id of ids) {
    const picture = store.known.get(id);
    if (picture) Object.assign(picture, { label: remove ? null : label, removed: remove });
  }
  tell();
  return inTurn("decide", { action, ids, label, remove, source });
}

// Confirms the labels of pictures as they stand.
export const keep = (ids) => inTurn("keep", { action: name(), ids });
export const undo = () => inTurn("undo", { action: name() });
export const redo = () => inTurn("redo", { action: name() });
export const rename = (old, called) => inTurn("classes/rename", { action: name(), old, new: called });
export const addClass = (label) => inTurn("classes", { name: label });

// A name for an action that no other window gives; crypto.randomUUID needs HTTPS.
function name() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((n) => n.toString(16).padStart(2, "0")).join("");
}

// What a class of the state before is called by now.
export function calledNow(was) {
  const { called, classes } = store.state;
  if (classes.some((each) => each.name === was)) return was;
  const first = Object.keys(store.before).find((each) => store.before[each] === was) ?? was;
  return called[first] ?? first;
}

export async function poll() {
  const answer = await get("state").catch(() => null);
  document.body.classList.toggle("offline", !answer);
  if (answer) take(answer.state);
  const pause = document.hidden ? POLL.hidden : store.state?.busy ? POLL.busy : POLL.idle;
  setTimeout(poll, pause);
}

export const thumbnail = (picture) => `${BASE}/thumbnails/${picture.id}?v=${picture.digest}`;
export const heatmap = (id, label) => `${BASE}/heatmaps/${id}?for=${encodeURIComponent(label)}`;
export const large = (picture) => `${BASE}/pictures/${picture.id}?v=${picture.digest}`;
