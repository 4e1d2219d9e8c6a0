// Re-evaluates when a fact changes, by one POST, and replaces the results only, so that the controls keep the focus.
// Without this script the Apply button does the same by reloading the page.
"use strict";

const controls = document.getElementById("controls");
if (controls) {
  const form = document.getElementById(controls.dataset.form);
  const announce = document.getElementById("announce");
  const trouble = document.getElementById("trouble");
  const order = document.getElementById("order");
  let running = null;
  let waiting = null;
  let sent = state((option) => option.defaultSelected, "defaultValue");

  // The answers to all questions. Those that the page was sent with are told apart from those that are chosen now, as a choice
  // may be made before this script runs.
  function state(chosen = (option) => option.selected, value = "value") {
    return JSON.stringify([order, ...controls.querySelectorAll("input, select")].map((control) => {
      if (control.localName === "input") return control[value];
      const options = Array.from(control.options);
      const found = options.filter(chosen);
      return (found.length || control.multiple ? found : options.slice(0, 1)).map((option) => option.value);
    }));
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
      copyLiveTexts(page);
      filter();
      const faults = markFaults();
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

  // The texts that depend on the answer: faults, what would decide, counts.
  function copyLiveTexts(page) {
    for (const here of document.querySelectorAll("[data-live]")) {
      const there = page.getElementById(here.id);
      here.textContent = there ? there.textContent : "";
    }
  }

  function markFaults() {
    const sentences = [];
    for (const fault of controls.querySelectorAll(".fault")) {
      const control = document.getElementById(fault.id.replace("fault-", "control-"));
      if (fault.textContent) {
        control.setAttribute("aria-invalid", "true");
        sentences.push(fault.textContent);
      } else {
        control.removeAttribute("aria-invalid");
      }
    }
    return sentences.join(" ");
  }

  // Shows the facts that have every word of the search, and opens their groups.
  const find = document.getElementById("find");
  const onlyDeciding = document.getElementById("only-deciding");
  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const searched = words.length > 0 || onlyDeciding.checked;
    let found = 0;
    for (const group of controls.querySelectorAll(".group")) {
      let shown = 0;
      for (const control of group.querySelectorAll(".control")) {
        const decides = control.querySelector(".decides").textContent !== "";
        control.hidden = !words.every((word) => control.dataset.words.includes(word)) || (onlyDeciding.checked && !decides);
        if (!control.hidden) shown += 1;
      }
      group.hidden = shown === 0;
      if (searched && shown) group.open = true;
      found += shown;
    }
    document.getElementById("none-found").hidden = found > 0;
  }
  find.addEventListener("input", filter);
  onlyDeciding.addEventListener("change", filter);

  function changed() {
    if (state() !== sent) evaluate();
  }

  controls.addEventListener("change", changed);
  order.addEventListener("change", changed);
  controls.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(changed, 500);
  });
  document.getElementById("apply").addEventListener("click", (event) => {
    event.preventDefault();
    evaluate();
  });
  changed();
}
