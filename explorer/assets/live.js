// Fetches the strip anew when the node tells of a new tip. Without this script
// the page reloads itself now and then.
"use strict";
const live = document.getElementById("live");
if (live && window.EventSource) {
  let shown = live.dataset.height;
  new EventSource("/events").addEventListener("tip", async (event) => {
    const fresh = event.data !== shown;
    const answer = await fetch("/strip");
    if (!answer.ok) return;
    // Our own server's page, rendered and escaped there.
    live.innerHTML = await answer.text();
    live.classList.toggle("fresh", fresh);
    shown = event.data;
  });
}
