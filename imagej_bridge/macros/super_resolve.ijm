// Super-resolves an image with relumen. The result is synthesised: one of many images that fit, not measured.
//
// In a window: open an image, then Plugins > Macros > Run... and choose this file.
// Without one: relumen fiji --headless super_resolve.ijm --argument "input=/data/low.tif;output=/data/high.tif"
//   input    the image file; without it, the image in front is taken
//   output   the TIFF to write; without it, the result is shown
//   options  as the macro recorder writes them; without them, those below

OPTIONS = "prior=prior-cells factor=16 iterations=200 solutions=1 seed=0";

input = argument("input");
output = argument("output");
options = argument("options");
if (options == "") options = OPTIONS;

if (output != "") setBatchMode(true);
if (input != "") open(input);
if (nImages == 0) exit("There is no image. Open one first, or name a file: input=/data/low.tif");
run("RLS Super-Resolution...", options);
if (output != "") {
	saveAs("Tiff", output);
	print("Written: " + output);
}


function argument(key) {
	parts = split(getArgument(), ";");
	for (i = 0; i < parts.length; i++) {
		part = String.trim(parts[i]);
		if (startsWith(part, key + "=")) return substring(part, lengthOf(key) + 1);
	}
	return "";
}
