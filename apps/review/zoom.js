// A picture that the wheel zooms, a drag moves and a double click resets; pixels are shown as they are where asked.
const CRISP = "ferclean-crisp";
const zoomable = (stage) => {
  const look = stage.querySelector(".look");
  const view = { scale: 1, x: 0, y: 0 };
  const img = () => stage.querySelector("img");
  const draw = () => {
    img().style.transform = view.scale === 1 ? "" : `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    stage.classList.toggle("zoomed", view.scale > 1);
  };
  const keep = () => {
    const box = stage.getBoundingClientRect();
    view.x = Math.min(0, Math.max(box.width * (1 - view.scale), view.x));
    view.y = Math.min(0, Math.max(box.height * (1 - view.scale), view.y));
  };
  const crisp = (on) => {
    stage.classList.toggle("crisp", on);
    look.textContent = on ? "smooth" : "show pixels";
  };
  crisp(localStorage.getItem(CRISP) === "yes");
  look.onclick = () => { const on = !stage.classList.contains("crisp"); localStorage.setItem(CRISP, on ? "yes" : "no"); crisp(on); look.blur(); };
  stage.onwheel = (event) => {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    const next = Math.min(12, Math.max(1, view.scale * Math.exp(-event.deltaY * 0.0015)));
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    view.x = px - (px - view.x) * next / view.scale;
    view.y = py - (py - view.y) * next / view.scale;
    view.scale = next;
    keep(); draw();
  };
  stage.onpointerdown = (event) => {
    if (event.target === look) return;
    const from = { x: event.clientX - view.x, y: event.clientY - view.y };
    stage.setPointerCapture(event.pointerId);
    stage.onpointermove = (move) => { view.x = move.clientX - from.x; view.y = move.clientY - from.y; keep(); draw(); };
    stage.onpointerup = stage.onpointercancel = () => { stage.onpointermove = null; };
  };
  stage.ondblclick = () => { Object.assign(view, view.scale > 1 ? { scale: 1, x: 0, y: 0 } : { scale: 2.5 });
    if (view.scale > 1) { const box = stage.getBoundingClientRect(); view.x = -0.75 * box.width; view.y = -0.75 * box.height; }
    draw(); };
  return () => { Object.assign(view, { scale: 1, x: 0, y: 0 }); draw(); };
};
