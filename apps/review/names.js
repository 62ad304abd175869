// The name under which a person reviews in this browser. A browser that keeps nothing asks each time.
export default function ({ data, setTriggerValue }) {
  const key = "ferclean-reviewer";
  try {
    if (data.chosen) localStorage.setItem(key, data.chosen);
    const known = localStorage.getItem(key);
    if (data.asks && known) setTriggerValue("known", known);
  } catch { console.info("ferclean: this browser keeps no name"); }
}
