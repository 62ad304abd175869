// A whole page in a frame that is allowed nothing: no script, no form, no way out of it.
export default function ({ data, parentElement }) {
  let frame = parentElement.querySelector("iframe");
  if (!frame) {
    frame = document.createElement("iframe");
    frame.setAttribute("sandbox", "");
    frame.style.cssText = "display:block;width:100%;height:calc(100vh - 150px);min-height:380px;border:0;border-radius:10px";
    parentElement.append(frame);
  }
  frame.title = data.title;
  if (frame.srcdoc !== data.html) frame.srcdoc = data.html;
}
