// Renews the status page from server-sent events. Without it the page reloads itself.
"use strict";
const live = document.getElementById("live");
const down = document.getElementById("down");
const events = new EventSource("/events");
events.addEventListener("status", (event) => {
  live.innerHTML = event.data;
  down.hidden = true;
});
const tell = (text) => {
  down.textContent = text;
  down.hidden = false;
};
events.addEventListener("down", (event) => tell(event.data));
events.onerror = () => tell("The connection to the sensor is lost; what follows is old. Trying again.");
