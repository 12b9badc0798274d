// A script that does not come to its end.
import { Scenario } from '../scripts/lib/scenario.js';

const s = new Scenario('smoke', 'it breaks off');

export const options = s.options(1000);
export const { handleSummary } = s;

export default s.run(async () => {
  throw new Error('the script breaks off');
});
