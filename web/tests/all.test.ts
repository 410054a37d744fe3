// One browser for all tests of the page.

import { after } from "node:test";
import { quit } from "./page.ts";
import { removeCopies } from "./repositories.ts";
import "./access.test.ts";
import "./changed.test.ts";
import "./choose.test.ts";
import "./documents.test.ts";
import "./firefox.test.ts";
import "./inspect.test.ts";
import "./safety.test.ts";
import "./served.test.ts";
import "./shown.test.ts";
import "./verify.test.ts";

after(async () => {
  removeCopies();
  await quit();
});
