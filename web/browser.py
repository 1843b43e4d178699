"""What the browser is given beside the components: styles and scripts."""

STYLE = """
.gradio-container { width: 100%; max-width: 1340px !important; margin: auto; }
.gradio-container .main { padding: 8px 16px !important; }
/* Links lead to and fro; the bar would take a line of the screen. */
.nav-holder { display: none; }
.html-container, .html-container a { padding: 0 !important; }
/* Until there is a picture. An editor that is made with its picture takes the paint twice. */
.gradio-container:has(#photo) #work { display: none; }
.editor canvas, .editor .pixi-target { touch-action: none; }
.thumbnails .grid-container { grid-template-columns: repeat(auto-fill, 76px) !important; }
.thumbnails .caption-label { max-width: 100%; padding: 1px 4px; font-size: 12px; }
.thumbnails .grid-wrap { min-height: 0; padding-top: 26px; }
/* Above, it would cover the buttons. */
.toast-wrap { top: auto !important; bottom: 16px; }
@media (max-width: 640px) {
  .editor { height: 400px !important; }
  #results button.md { padding: 8px 2px; font-size: 12px; white-space: nowrap; }
}
"""
# Gradio's editor has no keys, and places a layer that it is given by the largest picture it has
# shown, which the brush remembers. `editor` is the name under which it can be reached.
EDITOR = """() => {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("textarea, input:not([type=range], [type=radio])");
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || typing) return;
    event.preventDefault();
    event.shiftKey ? window.editor?.redo() : window.editor?.undo();
  });
  const amend = () => {
    if (!window.editor) return requestAnimationFrame(amend);
    const editor = window.editor, add = editor.add_layers_from_url.bind(editor);
    editor.add_layers_from_url = async (layers) => {
      const brush = editor.tools.get("brush").brush_textures;
      brush.cleanup_textures();
      await add(layers);
      brush.initialize_textures();
    };
  };
  amend();
}"""
# Gradio's slider over two pictures has neither a name nor keys; it is moved as by the mouse.
SLIDER = """() => {
  const moves = {
    ArrowLeft: -0.05, ArrowDown: -0.05, ArrowRight: 0.05, ArrowUp: 0.05, Home: -1, End: 1,
  };
  const placed = (handle) => {  // of what is shown of the pictures, left and width
    const image = handle.parentElement.querySelector("img"), box = image.getBoundingClientRect();
    const ratio = image.naturalWidth / image.naturalHeight || 1;
    const width = Math.min(box.width, box.height * ratio) || 1;
    const left = box.left + (box.width - width) / 2;
    const frame = handle.parentElement.getBoundingClientRect();
    const x = frame.left + new DOMMatrix(handle.style.transform).m41;
    return { left, width, share: (x - left) / width };
  };
  const tell = (handle) =>
    handle.setAttribute("aria-valuenow", Math.round(100 * placed(handle).share));
  const move = (event) => {
    if (!(event.key in moves)) return;
    event.preventDefault();
    const { left, width, share } = placed(event.currentTarget);
    const wanted = Math.min(Math.max(share + moves[event.key], 0), 1);
    for (const type of ["mousedown", "mouseup"])
      event.currentTarget.dispatchEvent(new MouseEvent(type, {
        view: window, bubbles: true, cancelable: true, clientX: left + wanted * width,
      }));
  };
  const name = () => {
    const bare = '.slider-wrap [data-testid="slider"]:not([role="slider"])';
    for (const handle of document.querySelectorAll(bare)) {
      handle.setAttribute("role", "slider");
      handle.setAttribute("aria-label", "Before and after");
      handle.setAttribute("aria-valuemin", 0);
      handle.setAttribute("aria-valuemax", 100);
      handle.tabIndex = 0;
      handle.addEventListener("keydown", move);
      new MutationObserver(() => tell(handle)).observe(handle, { attributeFilter: ["style"] });
      tell(handle);
    }
  };
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
}"""
SCROLL = """() => document.querySelector("#results")?.scrollIntoView(
  { behavior: "smooth", block: "nearest" })"""
