//! Image files through the commands that take them.

mod support;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use ndarray::{Array, Array4, Ix2};
use ndarray_npy::{ReadNpyExt, write_npy};

use support::{Finished, Folder, fixture, images, rnc, rnc_command};

/// A folder with image files `cat/0.png`, `cat/1.bmp`, `dog/0.webp`, `dog/1.png`.
fn photographs() -> Folder {
    let folder = Folder::new();
    for (i, name) in ["cat/0.png", "cat/1.bmp", "dog/0.webp", "dog/1.png"].into_iter().enumerate() {
        let path = folder.path(name);
        fs::create_dir_all(folder.path(&name[..3])).unwrap();
        let pixel = |x: u32, y: u32| [(x * 8) as u8, (y * (i as u32 + 3)) as u8, (x * y % 251) as u8 ^ (i as u8 * 60)];
        image::RgbImage::from_fn(32, 32, |x, y| image::Rgb(pixel(x, y))).save(path).unwrap();
    }
    folder
}

/// Labels and preprocessing in the plan.
fn labelled(folder: &Folder) -> String {
    let plan = folder.path("labelled.plan");
    rnc(&["compile", &fixture().model, "-o", &plan, "--labels", "cifar10", "--preprocess", "cifar10"]).succeeds();
    plan
}

/// Files and best classes.
fn answers(run: &Finished) -> Vec<(String, serde_json::Value)> {
    let samples = run.json()["samples"].as_array().unwrap().clone();
    samples
        .iter()
        .map(|sample| (sample["file"].as_str().unwrap_or_default().to_owned(), sample["top"][0].clone()))
        .collect()
}

#[test]
fn folders_patterns_files_and_standard_input_give_the_same_answers() {
    let folder = photographs();
    let plan = labelled(&folder);
    let by_folder = answers(&rnc(&["run", &plan, &folder.path("."), "--json"]).succeeds());
    let names: Vec<&str> = by_folder.iter().map(|(file, _)| &file[file.len() - 8..]).collect();
    assert_eq!(names, ["at/0.png", "at/1.bmp", "g/0.webp", "og/1.png"]);
    let by_pattern = answers(&rnc(&["run", &plan, &folder.path("*/[01].*"), "--json", "--batch", "3"]).succeeds());
    let guesses =
        |answers: &[(String, serde_json::Value)]| answers.iter().map(|(_, top)| top.clone()).collect::<Vec<_>>();
    assert_eq!(guesses(&by_pattern), guesses(&by_folder));
    let mut child = rnc_command(&["run", &plan, "-", "--json"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(folder.path("dog/0.webp")).unwrap()).unwrap();
    let stdout = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let by_stdin = answers(&Finished { code: 0, stdout, stderr: String::new() });
    assert_eq!(by_stdin, [("standard input".to_owned(), by_folder[2].1.clone())]);
}

#[test]
fn a_plan_keeps_its_preprocessing_and_its_labels() {
    let folder = photographs();
    let (plan, cat) = (labelled(&folder), folder.path("cat/0.png"));
    let stored = rnc(&["run", &plan, &cat, "--top", "1"]).succeeds();
    assert!(!stored.stderr.contains("imagenet"), "{}", stored.stderr);
    let given = ["run", &fixture().plan, &cat, "--top", "1", "--labels", "cifar10", "--preprocess", "cifar10"];
    assert_eq!(rnc(&given).succeeds().stdout, stored.stdout);
    let inspect = rnc(&["inspect", &plan]).succeeds().stdout;
    assert!(inspect.contains("images       cifar10\n") && inspect.contains("labels       10\n"), "{inspect}");
    // A plan that says nothing is used as most classifiers want it, and that is said.
    assert!(rnc(&["run", &fixture().plan, &cat]).succeeds().stderr.contains("prepared as `imagenet`"));
    // Options are stronger than the plan.
    let other = rnc(&["run", &plan, &cat, "--top", "1", "--preprocess", "none", "--json"]).succeeds().json();
    assert_ne!(other["samples"], rnc(&["run", &plan, &cat, "--top", "1", "--json"]).succeeds().json()["samples"]);
    let wrong = rnc(&["compile", &fixture().model, "-o", &folder.path("x.plan"), "--preprocess", "imagenot"]).exits(2);
    assert!(wrong.stderr.contains("imagenot") && wrong.stderr.contains("timm-bicubic"), "{}", wrong.stderr);
}

#[test]
fn labels_that_are_not_as_many_as_classes_are_spoken_of_when_compiling_and_when_running() {
    let folder = photographs();
    let (plan, cat) = (folder.path("x.plan"), folder.path("cat/0.png"));
    let compile =
        rnc(&["compile", &fixture().model, "-o", &plan, "--labels", "imagenet-1k", "--preprocess", "cifar10"]);
    let found = "output `logits`: it has 10 classes, and there are 1000 labels; no classes will be shown";
    assert!(compile.succeeds().stderr.contains(found), "no {found:?}");
    let run = rnc(&["run", &plan, &cat]).succeeds();
    assert!(
        run.stderr.contains("warning: there are 1000 labels, but output `logits` has 10 classes"),
        "{}",
        run.stderr
    );
    let asked = rnc(&["run", &plan, &cat, "--top", "1"]).exits(1);
    assert!(asked.stderr.contains("one line for each class"), "{}", asked.stderr);
}

#[test]
fn csv_has_a_line_for_each_guess() {
    let folder = photographs();
    let plan = labelled(&folder);
    let run = rnc(&["run", &plan, &folder.path("cat"), "--csv", "--top", "2"]).succeeds();
    let mut reader = csv::Reader::from_reader(run.stdout.as_bytes());
    assert_eq!(reader.headers().unwrap(), ["file", "rank", "class", "label", "probability"].as_slice());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.iter().map(|row| row[1].to_owned()).collect::<Vec<_>>(), ["1", "2", "1", "2"]);
    let json = rnc(&["run", &plan, &folder.path("cat"), "--json", "--top", "2"]).succeeds().json();
    for (row, at) in rows.iter().zip([(0, 0), (0, 1), (1, 0), (1, 1)]) {
        let guess = &json["samples"][at.0]["top"][at.1];
        assert_eq!((&row[2], &row[3]), (guess["class"].to_string().as_str(), guess["label"].as_str().unwrap()));
    }
}

#[test]
fn an_image_that_cannot_be_read_is_named_and_leaves_the_others() {
    let folder = photographs();
    let plan = labelled(&folder);
    fs::write(folder.path("cat/broken.jpg"), [0xff, 0xd8, 0xff, 0xe0]).unwrap();
    let run = rnc(&["run", &plan, &folder.path("."), "--json"]).exits(1);
    assert!(run.stderr.contains("broken.jpg") && run.stderr.contains("1 of 5 images"), "{}", run.stderr);
    assert_eq!(answers(&run).len(), 4);
    let run = rnc(&["run", &plan, &folder.path("cat/broken.jpg")]).exits(1);
    assert!(run.stderr.contains("the image cannot be used"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
}

#[test]
fn tensors_go_through_safetensors_npz_and_npy_alike() {
    let folder = Folder::new();
    let x: Array4<f32> = images(3, 5);
    write_npy(folder.path("x.npy"), &x).unwrap();
    let identity = "graph @copy(%input: f32[N,3,32,32]) -> (%input2) { %input2 = identity(%input) }";
    fs::write(folder.path("copy.rnc"), identity).unwrap();
    let (copy, file) = (folder.path("copy.plan"), |name: &str| folder.path(name));
    rnc(&["compile", &file("copy.rnc"), "-o", &copy]).succeeds();
    rnc(&["run", &copy, "--input", &file("x.npy"), "--save", &file("x.safetensors")]).succeeds();
    let plan = &fixture().plan;
    for (input, output) in [("x.npy", "a.npy"), ("x.safetensors", "b.npy")] {
        let input = format!("input={}", file(input));
        rnc(&["run", plan, "--input", &input, "--save", &file(output)]).succeeds();
    }
    assert_eq!(fs::read(file("a.npy")).unwrap(), fs::read(file("b.npy")).unwrap());
    let found = Array::<f32, Ix2>::read_npy(fs::File::open(file("a.npy")).unwrap()).unwrap();
    assert_eq!(found.dim(), (3, 10));
    rnc(&["run", plan, "--input", &file("x.npy"), "--save", &file("y.safetensors")]).succeeds();
    rnc(&["run", plan, "--input", &file("x.npy"), "--expect", &file("y.safetensors"), "--tolerance", "0"]).succeeds();
    let run = rnc(&["run", plan, "--input", &file("x.npy"), "--save", &file("y.txt")]).exits(2);
    assert!(run.stderr.contains("y.txt"), "{}", run.stderr);
}

#[test]
fn an_evaluation_counts_what_a_run_says() {
    let folder = photographs();
    let plan = labelled(&folder);
    let page = folder.path("eval.html");
    let json = rnc(&["eval", &plan, &folder.path("."), "--json", "--html", &page]).succeeds().json();
    let mut right = 0;
    for (file, best) in answers(&rnc(&["run", &plan, &folder.path("."), "--json"]).succeeds()) {
        right += usize::from(file.contains(&format!("/{}/", best["label"].as_str().unwrap())));
        let judged = json["results"].as_array().unwrap().iter().find(|row| row["file"] == file).unwrap();
        assert_eq!((&judged["guess"], &judged["probability"]), (&best["class"], &best["probability"]));
    }
    assert_eq!((&json["images"], &json["top1"]), (&4.into(), &right.into()));
    let classes = json["classes"].as_array().unwrap();
    let counted: Vec<(&str, u64)> =
        classes.iter().map(|class| (class["name"].as_str().unwrap(), class["images"].as_u64().unwrap())).collect();
    assert_eq!((counted.len(), counted[3], counted[5]), (10, ("cat", 2), ("dog", 2)));
    let text = rnc(&["eval", &plan, &folder.path(".")]).succeeds().stdout;
    assert!(text.starts_with(&format!("top-1   {right} of 4 (")), "{text}");
    assert!(text.contains("confusion: rows are classes"), "{text}");
    let page = fs::read_to_string(page).unwrap();
    assert_eq!(page.matches("data:image/png;base64,").count(), 4 - right);
}

#[test]
fn an_evaluation_refuses_folders_that_are_no_classes() {
    let folder = photographs();
    let plan = labelled(&folder);
    fs::create_dir(folder.path("cow")).unwrap();
    let run = rnc(&["eval", &plan, &folder.path(".")]).exits(1);
    assert!(run.stderr.contains("no class is called `cow`"), "{}", run.stderr);
    assert!(rnc(&["eval", &plan, &folder.path("cat")]).exits(1).stderr.contains("no folder in"));
    assert!(rnc(&["eval", &fixture().plan, &folder.path(".")]).exits(1).stderr.contains("whose classes are not known"));
}

#[test]
fn an_explanation_is_a_picture_whose_numbers_add_up_to_the_score() {
    let folder = photographs();
    let (plan, cat) = (labelled(&folder), folder.path("cat/0.png"));
    let (png, npy) = (folder.path("why.png"), folder.path("map.npy"));
    let run = rnc(&["explain", &plan, &cat, "-o", &png, "--save", &npy, "--json"]).succeeds();
    let best = &answers(&rnc(&["run", &plan, &cat, "--json"]).succeeds())[0].1;
    let found = run.json();
    assert_eq!(
        (&found["class"], &found["label"], &found["probability"]),
        (&best["class"], &best["label"], &best["probability"])
    );
    let map = Array::<f32, Ix2>::read_npy(fs::File::open(&npy).unwrap()).unwrap();
    let score = f64::from(map.mean().unwrap()) + found["bias"].as_f64().unwrap();
    assert!((score - found["score"].as_f64().unwrap()).abs() < 1e-4, "{score} {found}");
    let picture = image::open(&png).unwrap();
    assert!(picture.width() >= 320 && picture.height() >= 320);
    let other = rnc(&["explain", &plan, &cat, "--json", "--class", "ship"]).succeeds().json();
    assert_eq!((&other["class"], &other["label"]), (&8.into(), &"ship".into()));
    assert!(
        rnc(&["explain", &plan, &cat, "--json", "--class", "cow"]).exits(1).stderr.contains("no class is called `cow`")
    );
    rnc(&["explain", &plan, &cat]).exits(2);
}

#[test]
fn nothing_that_is_read_is_written_over() {
    let folder = photographs();
    let (plan, cat) = (labelled(&folder), folder.path("cat/0.png"));
    let labels = folder.path("labels.txt");
    fs::write(&labels, "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n").unwrap();
    let (all, pattern) = (folder.path("."), folder.path("cat/*"));
    let commands: [&[&str]; 8] = [
        &["explain", &plan, &cat, "-o", &cat],
        &["explain", &plan, &pattern, "-o", &cat],
        &["eval", &plan, &all, "--html", &cat],
        &["eval", &plan, &all, "--html", &labels, "--labels", &labels],
        &["run", &plan, &all, "--save", &cat],
        &["profile", &plan, "--html", &plan],
        &["profile", &plan, "--html", &labels, "--trace", &labels],
        &["run", &plan, &cat, "--labels", &labels, "--save", &labels],
    ];
    let files = [&plan, &cat, &labels].map(|file| fs::read(file).unwrap());
    for command in commands {
        let run = rnc(command);
        // A pattern for several images is a mistake of another kind.
        assert!([1, 2].contains(&run.code), "{command:?}: {run:?}");
        assert_eq!([&plan, &cat, &labels].map(|file| fs::read(file).unwrap()), files, "{command:?}");
    }
    let run = rnc(&["explain", &plan, &cat, "-o", &folder.path("why.txt")]).exits(2);
    assert!(run.stderr.contains("will be a .png file"), "{}", run.stderr);
}

#[test]
fn of_several_outputs_the_scores_are_explained() {
    let folder = photographs();
    let text = "graph @two(%x: f32[N,3,8,8]) -> (%f, %y) {
      @w = random(1) : f32[16,3,3,3]
      @m = random(2) : f32[5,16]
      %c = conv2d(%x, @w) {pad=1, activation=relu}
      %p = global_average_pool(%c)
      %f = reshape(%p) {shape=[N,16]}
      %y = gemm(%f, @m) {trans_b=true}
    }";
    fs::write(folder.path("two.rnc"), text).unwrap();
    let plan = folder.path("two.plan");
    rnc(&["compile", &folder.path("two.rnc"), "-o", &plan]).succeeds();
    let json = rnc(&["explain", &plan, &folder.path("cat/0.png"), "--preprocess", "unit", "--json"]).succeeds().json();
    assert!(json["class"].as_u64().unwrap() < 5, "{json}");
    let error = rnc(&["explain", &plan, &folder.path("cat/0.png"), "--preprocess", "unit", "--json", "--class", "7"]);
    assert!(error.exits(1).stderr.contains("there is no class 7: they are 0 to 4"));
}

#[test]
fn names_with_control_characters_do_not_reach_the_terminal() {
    let folder = photographs();
    let plan = labelled(&folder);
    let name = folder.path("\u{1b}[31mred\nline.png");
    fs::copy(folder.path("cat/0.png"), &name).unwrap();
    let run = rnc(&["run", &plan, &name, "--top", "1"]).succeeds();
    assert!(!run.stdout.contains('\u{1b}') && run.stdout.lines().count() == 2, "{:?}", run.stdout);
}

/// Runs an example, which `cargo test` has built beside the tests.
fn example(name: &str, arguments: &[&str]) -> Finished {
    let folder = std::path::Path::new(support::RNC).parent().unwrap().join("examples");
    support::finish(support::of_nobody(std::process::Command::new(folder.join(name)).args(arguments)))
}

#[test]
fn the_examples_do_what_they_say() {
    let folder = photographs();
    let (plan, cat) = (labelled(&folder), folder.path("cat/0.png"));
    let classified = example("classify", &[&plan, &cat]).succeeds().stdout;
    let best = &answers(&rnc(&["run", &plan, &cat, "--json"]).succeeds())[0].1;
    assert!(classified.lines().nth(1).unwrap().ends_with(best["label"].as_str().unwrap()), "{classified}");
    let found = example("search", &[&fixture().model, &folder.path("cat"), &cat]).succeeds().stdout;
    assert!(found.starts_with("1.0000  ") && found.lines().next().unwrap().ends_with("cat/0.png"), "{found}");
    let rounded = example("custom_pass", &[&fixture().model]).succeeds().stdout;
    assert!(rounded.starts_with("21 constants rounded") && rounded.contains("off by "), "{rounded}");
    let served = example("service", &[&plan, "3", "5"]).succeeds().stdout;
    assert!(served.starts_with("15 answers"), "{served}");
}
