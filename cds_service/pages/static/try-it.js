// Re-evaluates when a fact changes and replaces the results only, so that the controls keep the focus.
// Without this script the Apply button does the same by reloading the page.
"use strict";

const controls = document.getElementById("controls");
if (controls) {
  const form = document.getElementById(controls.dataset.form);
  const announce = document.getElementById("announce");
  const trouble = document.getElementById("trouble");
  let running = null;
  let waiting = null;
  let sent = state();

  function state() {
    return JSON.stringify(Array.from(controls.querySelectorAll("input, select"), (control) => control.value));
  }

  async function evaluate() {
    clearTimeout(waiting);
    if (running) running.abort();
    running = new AbortController();
    const mine = running;
    const results = document.getElementById("results");
    sent = state();
    results.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(form.action, { method: "POST", body: new FormData(form), signal: mine.signal });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("results");
      if (!fresh) throw new Error(String(answer.status));
      keepOpen(results, fresh);
      results.replaceWith(fresh);
      const faults = copyFaults(page);
      trouble.textContent = "";
      announce.textContent = faults || fresh.dataset.announce;
    } catch (error) {
      if (error.name === "AbortError") return;
      results.removeAttribute("aria-busy");
      trouble.textContent = "The service did not answer. Press Apply to try again.";
      announce.textContent = trouble.textContent;
    }
  }

  // Sections that the reader has opened stay open.
  function keepOpen(old, fresh) {
    const before = old.querySelectorAll("details[id]");
    for (const details of before) {
      const same = fresh.querySelector("#" + CSS.escape(details.id));
      if (same) same.open = details.open;
    }
  }

  function copyFaults(page) {
    const sentences = [];
    for (const control of controls.querySelectorAll("input, select")) {
      const here = document.getElementById("fault-" + control.name);
      const there = page.getElementById("fault-" + control.name);
      here.textContent = there ? there.textContent : "";
      if (here.textContent) {
        control.setAttribute("aria-invalid", "true");
        sentences.push(here.textContent);
      } else {
        control.removeAttribute("aria-invalid");
      }
    }
    return sentences.join(" ");
  }

  function changed() {
    if (state() !== sent) evaluate();
  }

  controls.addEventListener("change", changed);
  controls.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(changed, 500);
  });
  document.getElementById("apply").addEventListener("click", (event) => {
    event.preventDefault();
    evaluate();
  });
}
