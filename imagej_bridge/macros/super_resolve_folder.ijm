// Super-resolves all images of a folder with relumen. The results are synthesised: plausible, not measured.
// What is there already is left out: run it again after an interruption, and it goes on.
//
// In a window: Plugins > Macros > Run... and choose this file; it asks for the folders.
// Without one: relumen fiji --headless super_resolve_folder.ijm --argument "input=/data/low;output=/data/high"
//   input    the folder of images
//   output   the folder to write to, made where there is none
//   options  as the macro recorder writes them; without them, those below. Other options need another output folder

OPTIONS = "prior=prior-cells factor=16 iterations=200 solutions=1 seed=0";
ENDING = "_rls.tif";

input = folder("input", "Images to super-resolve");
output = folder("output", "Where the results go");
options = argument("options");
if (options == "") options = OPTIONS;
if (!File.isDirectory(input)) exit("There is no folder " + input);
if (!File.exists(output)) File.makeDirectory(output);

setBatchMode(true);
files = Array.sort(getFileList(input));
checkNames(files);
done = 0;
left = 0;
for (i = 0; i < files.length; i++) {
	if (isImage(files[i])) {
		result = output + "/" + File.getNameWithoutExtension(files[i]) + ENDING;
		if (File.exists(result)) {
			left++;
		} else {
			superResolve(input + "/" + files[i], result);
			done++;
		}
	}
}
print(done + " done, " + left + " there already, in " + output);


function superResolve(source, result) {
	open(source);
	run("RLS Super-Resolution...", options);
	partial = output + "/unfinished.tif";   // so that no half a file is taken for a result
	saveAs("Tiff", partial);
	renamed = File.rename(partial, result);
	if (!renamed) exit("The result could not be written: " + result);
	print(result);
	close("*");
}

// a.tif and a.png would have one result; large and small letters are one on many disks.
function checkNames(files) {
	names = newArray(files.length);
	for (i = 0; i < files.length; i++) {
		names[i] = "/";   // which no name holds
		if (isImage(files[i])) names[i] = toLowerCase(File.getNameWithoutExtension(files[i])) + "/" + files[i];
	}
	Array.sort(names);
	for (i = 1; i < names.length; i++) {
		at = indexOf(names[i], "/");
		if (at > 0 && startsWith(names[i - 1], substring(names[i], 0, at + 1)))
			exit(substring(names[i - 1], at + 1) + " and " + substring(names[i], at + 1)
				+ " would have results of the same name. Rename one of them.");
	}
}

// return evaluates no ||
function isImage(name) {
	return matches(toLowerCase(name), ".*\\.(tiff?|png)");
}

function folder(key, title) {
	named = argument(key);
	if (named == "") named = getDirectory(title);
	named = replace(named, "\\", "/");
	while (endsWith(named, "/")) named = substring(named, 0, lengthOf(named) - 1);
	return named;
}

function argument(key) {
	parts = split(getArgument(), ";");
	for (i = 0; i < parts.length; i++) {
		part = String.trim(parts[i]);
		if (startsWith(part, key + "=")) return substring(part, lengthOf(key) + 1);
	}
	return "";
}
