// Re-evaluates when a fact changes, in place: the controls stay (and so does the focus), the results are replaced.
// Without this file the Apply button does the same by loading the page again.
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

  // What the reader has opened stays open, or a look at the reasons ends with every change.
  function keepOpen(old, fresh) {
    const before = old.querySelectorAll("details[id]");
    for (const details of before) {
      const same = fresh.querySelector("#" + CSS.escape(details.id));
      if (same) same.open = details.open;
    }
  }

  function copyFaults(page) {
    const said = [];
    for (const control of controls.querySelectorAll("input, select")) {
      const here = document.getElementById("fault-" + control.name);
      const there = page.getElementById("fault-" + control.name);
      here.textContent = there ? there.textContent : "";
      if (here.textContent) {
        control.setAttribute("aria-invalid", "true");
        said.push(control.labels[0].textContent + ": " + here.textContent);
      } else {
        control.removeAttribute("aria-invalid");
      }
    }
    return said.join(" ");
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
