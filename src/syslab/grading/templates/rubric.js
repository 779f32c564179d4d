/* Levels and comments of a rubric, written into Formgrader's own boxes, which save themselves.

The chosen levels stand in the first line of the comment ("Rubric: Causes 3/4; ..."): the learner
reads them, the next marker finds them, and they need no place of their own in the gradebook.
The score box is filled once every dimension of the cell has a level; until then the sum is shown
as its placeholder, so that a cell that is half marked still waits for a mark. */
(function () {
  "use strict";
  const PREFIX = "Rubric: ";
  const TOP = 4;
  const round = (x) => Math.round(x * 1e4) / 1e4;

  function openDesk(panel, grade, remark) {
    const marked = panel.closest(".syslab-marked");
    const score = marked.querySelector(".panel-heading input.score");
    const box = marked.querySelector(".panel-footer textarea.comment");
    const status = panel.querySelector(".syslab-status");
    const rows = [...panel.querySelectorAll(".syslab-dimension")];
    const comments = [...panel.querySelectorAll(".syslab-comment")];
    const levels = (row) => [...row.querySelectorAll(".syslab-level")];
    const chosen = (row) => row.querySelector('[aria-checked="true"]');
    let text = box.value;

    // An answer to an earlier request must not undo what was written since.
    box.addEventListener("input", () => { text = box.value; show(); });
    box.addEventListener("change", () => { text = box.value; show(); });
    remark.on("sync", () => { if (box.value !== text) { box.value = text; } });
    grade.on("sync", show);

    function save(element, value) {
      element.value = value;
      element.dispatchEvent(new Event("change", { bubbles: true }));
    }

    const lines = () => text.split("\n");

    // What is written between goes on as it stands; what is put in is a paragraph of its own, so
    // that the feedback page does not run them together.
    const without = (unwanted) => lines().filter((line) => !unwanted(line)).join("\n")
      .replace(/\n{3,}/g, "\n\n").trim();
    const others = () => without((line) => line.startsWith(PREFIX));

    function write(...paragraphs) {
      text = paragraphs.filter((said) => said !== "").join("\n\n");
      save(box, text);
      if (window.autosize) { autosize.update(box); }
    }

    function mark(row, button) {
      for (const other of levels(row)) {
        other.setAttribute("aria-checked", String(other === button));
        other.tabIndex = other === button || (!button && other.dataset.level === "0") ? 0 : -1;
      }
    }

    function sum() {
      return round(rows.reduce((s, row) => s + Number((chosen(row) || row).dataset.points || 0), 0));
    }

    function missing() { return rows.filter((row) => !chosen(row)).length; }

    function show() {
      const left = missing();
      const begun = left < rows.length;
      score.placeholder = begun && left ? sum() : "";
      for (const button of comments) {
        button.setAttribute("aria-pressed", String(lines().includes(button.dataset.text)));
      }
      if (!rows.length) { return; }
      const given = score.value === "" ? null : Number(score.value);
      let said = begun ? `${sum()} of ${panel.dataset.points}` : "No level chosen";
      if (begun && left) { said += ` so far, not yet saved as a score: ${left} to choose`; }
      else if (begun && given !== sum()) { said += `; the score box says ${given ?? "nothing"}`; }
      else if (!begun && given !== null) { said += `; the score box says ${given}`; }
      status.textContent = said;
    }

    function choose(button) {
      mark(button.closest(".syslab-dimension"), button);
      const line = PREFIX + rows.filter(chosen)
        .map((row) => `${row.dataset.dimension} ${chosen(row).dataset.level}/${TOP}`).join("; ");
      write(line, others());
      if (!missing()) { save(score, sum()); }
      show();
    }

    function clear() {
      rows.forEach((row) => mark(row, null));
      write(others());
      save(score, "");
      show();
    }

    function toggle(button) {
      const wanted = button.dataset.text;
      if (lines().includes(wanted)) { write(without((line) => line === wanted)); }
      else { write(text.trim(), wanted); }
      show();
    }

    function restore() {
      const line = lines().find((said) => said.startsWith(PREFIX)) || "";
      const given = new Map(line.slice(PREFIX.length).split("; ").map((part) => {
        const at = part.lastIndexOf(" ");
        return [part.slice(0, at), part.slice(at + 1).split("/")[0]];
      }));
      for (const row of rows) {
        mark(row, levels(row).find((b) => b.dataset.level === given.get(row.dataset.dimension)));
      }
    }

    function press(event) {
      const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
      // Formgrader would take these keys to its own boxes.
      if (plain && ["Tab", "Enter", " "].includes(event.key)) { event.stopPropagation(); }
      const row = plain && event.target.closest(".syslab-dimension");
      if (!row) { return; }
      const own = levels(row);
      const at = own.indexOf(event.target);
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      if (step && at >= 0) {
        event.preventDefault();
        own[(at + step + own.length) % own.length].focus();
      } else if (/^[0-4]$/.test(event.key)) {
        event.preventDefault();
        own[Number(event.key)].focus();
        choose(own[Number(event.key)]);
      }
    }

    restore();
    show();
    panel.addEventListener("keydown", press);
    // Formgrader's Tab key arrives at the frame. Its jQuery keeps that event from later listeners
    // and gives the frame its focus twice, hence early (capture) and afterwards (setTimeout).
    const enter = () => rows[0].querySelector('[tabindex="0"]').focus();
    panel.addEventListener("focus", (event) => {
      if (event.target.matches(".tabbable")) { setTimeout(enter); }
    }, true);
    rows.forEach((row) => levels(row).forEach((b) => b.addEventListener("click", () => choose(b))));
    comments.forEach((b) => b.addEventListener("click", () => toggle(b)));
    panel.querySelectorAll(".syslab-clear").forEach((b) => b.addEventListener("click", clear));
    panel.querySelectorAll("button").forEach((b) => { b.disabled = false; });
    panel.removeAttribute("aria-busy");
  }

  function say(panel, message) {
    const status = panel.querySelector(".syslab-status");
    if (status) { status.textContent = message; }
    panel.removeAttribute("aria-busy");
  }

  // Formgrader reads grades and comments after the page is there; its boxes save from then on.
  function open() {
    const loaded = formgrader.grades && formgrader.grades.loaded
      && formgrader.comments && formgrader.comments.loaded;
    if (!loaded) { setTimeout(open, 50); return; }
    for (const panel of document.querySelectorAll(".syslab-desk")) {
      const grade = formgrader.grades.findWhere({ name: panel.dataset.cell });
      const remark = formgrader.comments.findWhere({ name: panel.dataset.cell });
      if (grade && remark) { openDesk(panel, grade, remark); }
      else { say(panel, "The gradebook does not know this cell: autograde the submission again."); }
    }
  }

  open();
}());
