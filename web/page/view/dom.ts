// Making elements. Text becomes text nodes and nothing else: no string is ever parsed as markup.

type Attributes = { [name: string]: string | number | boolean | ((event: Event) => void) };
export type Content = Node | string | number | undefined | false;

/** An element. `on…` attributes are listeners, `true` an empty attribute, `false` none. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...content: Content[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, String(value));
  }
  fill(element, ...content);
  return element;
}

/** Replaces what an element holds. */
export function fill(element: Element, ...content: Content[]): void {
  const nodes = content.filter((part) => part !== undefined && part !== false);
  element.replaceChildren(...nodes.map((part) => (typeof part === "number" ? String(part) : (part as Node | string))));
}

/** The element of the page with this ID. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
}

/** Shows a section or hides it. */
export function show(id: string, visible: boolean): void {
  byId(id).hidden = !visible;
}

export function button(label: string, onclick: () => void, attributes: Attributes = {}): HTMLButtonElement {
  return h("button", { type: "button", onclick, ...attributes }, label);
}

/** Names and values. */
export function facts(rows: [name: string, value: Content][]): HTMLElement {
  const pair = ([name, value]: [string, Content]) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  return h("dl", { class: "facts" }, ...rows.map(pair));
}

/** A button that copies text, and says that it did. */
export function copyButton(label: string, text: () => string): HTMLButtonElement {
  const made = button(label, () => {
    void copy(text()).then((done) => {
      made.textContent = done ? "Copied" : "Select the text and copy it";
      setTimeout(() => (made.textContent = label), 2000);
    });
  });
  return made;
}

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Not a secure context, or refused: the old way works on a click.
    const area = h("textarea", { class: "offscreen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
