// Asks the status API until the order is paid, then shows it. The page never decides that: the server's record does.
"use strict";

const SECONDS = 1.5;
const page = document.querySelector("[data-status-url]");

function show(state) {
  page.dataset.state = state;
  for (const part of document.querySelectorAll("[data-for]")) {
    part.hidden = part.dataset.for !== state;
  }
}

async function look() {
  try {
    const response = await fetch(page.dataset.statusUrl, { cache: "no-store" });
    if (response.ok) {
      const { status } = await response.json();
      if (status !== "pending") {
        show(status === "closed" ? "cancelled" : status);
        return;
      }
    }
  } catch {
    // The phone was in a tunnel: look again.
  }
  setTimeout(look, SECONDS * 1000);
}

// "Pay now" without leaving the page, so that it can be seen turning to paid by itself, as with a telephone.
document.querySelector("[data-pretend]")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  form.querySelector("button").disabled = true;
  fetch(form.action, { method: "POST", body: new FormData(form) }).finally(() => {
    // Still waiting after a while: something failed, and the reloaded page says what.
    setTimeout(() => page.dataset.state === "new" && location.reload(), 3 * SECONDS * 1000);
  });
});

look();
