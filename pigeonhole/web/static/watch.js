// Fetches the page again every few seconds and puts its new content into place.
"use strict";

const EVERY = 2000; // milliseconds

async function refresh() {
  if (!document.hidden) {
    try {
      const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
      const fresh = page.querySelector("main");
      const open = document.querySelector("main details")?.open;
      document.querySelector("main").replaceChildren(...document.importNode(fresh, true).childNodes);
      if (open) document.querySelector("main details").open = true;
      document.title = page.title;
    } catch {
      // The server may be starting again; the next try will show.
    }
  }
  setTimeout(refresh, EVERY);
}

setTimeout(refresh, EVERY);
