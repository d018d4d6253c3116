// Keeps the page fresh: each event brings the live part of the page as the server would draw it now. Only what differs is
// put in place, so that selections and scroll positions stay.
"use strict";

const live = document.getElementById("live");
const fresh = document.getElementById("fresh");

function put(html) {
  const drawn = new DOMParser().parseFromString(html, "text/html").body;
  const same = live.children.length === drawn.children.length;
  if (!same) {
    live.replaceChildren(...drawn.children);
    return;
  }
  [...drawn.children].forEach((next, at) => {
    const now = live.children[at];
    if (now.outerHTML !== next.outerHTML) now.replaceWith(next);
  });
}

const events = new EventSource(live.dataset.events);
events.addEventListener("live", (event) => {
  put(event.data);
  fresh.textContent = "Live.";
});
events.addEventListener("error", () => {
  fresh.textContent = "Connection lost, trying again …";
  // Refused for good (too many viewers): fall back to reloading.
  if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 10000);
});
