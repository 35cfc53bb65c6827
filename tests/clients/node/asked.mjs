// What the scripts share: whom to ask, for what; one JSON object to say it all.
import { z } from "zod";

export const baseURL = process.argv[2] + "/v1";
export const PARIS = "What is the weather in Paris?";
export const BOTH = "What is the weather in Paris and Rome?";
export const City = z.object({ city: z.string().max(12) });
export const Pick = z.object({
  color: z.enum(["red", "blue"]),
  amount: z.union([z.literal(1), z.literal(2), z.literal(3)]),
});
export const weather = ({ city }) => ({ city, weather: "sunny", celsius: 21 });

export const say = (found) => console.log(JSON.stringify(found));
