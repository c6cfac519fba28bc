// Keeps the page on this device, so that it opens offline. DIGEST and FILES are filled in at export: another
// model makes another file of this one, which the browser then takes, and with it another cache.
const PREFIX = `pigeonhole ${registration.scope} `; // other pages of this host have caches of their own
const CACHE = PREFIX + "DIGEST";
const FILES = {}; // address -> sha256, as `integrity` is written

addEventListener("install", (event) => {
  skipWaiting(); // Pages that are open have loaded all that they need, and are told.
  event.waitUntil(keep());
});
addEventListener("activate", (event) => event.waitUntil(forgetOthers()));
addEventListener("fetch", (event) => {
  const { origin, pathname } = new URL(event.request.url);
  const name = new URL(".", registration.scope).pathname;
  if (event.request.method !== "GET" || origin !== location.origin || !pathname.startsWith(name)) return;
  const file = pathname.slice(name.length).replace(/^(index\.html)?$/, "./");
  if (Object.hasOwn(FILES, file)) event.respondWith(kept(file, event.request));
});

// What is no longer as it was exported, as in the middle of an upload, fails, and is tried again at a later visit.
async function keep() {
  const cache = await caches.open(CACHE);
  const wanted = Object.entries(FILES);
  await cache.addAll(wanted.map(([file, integrity]) => new Request(file, { cache: "no-cache", integrity })));
}

async function kept(file, request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(file)) ?? fetch(request);
}

async function forgetOthers() {
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
  }
}
